// mov in all its shapes, and the conversions of addresses that change nothing.
#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

template <class T>
void move(Warp& w, const Instruction& in, uint32_t mask) {
  map1<T, T>(w, in, mask, [](T a) { return a; });
}
// {parts} = a: parts of `size` bytes.
template <class T>
void unpack(Warp& w, const Instruction& in, uint32_t mask) {
  const uint32_t bits = in.size * 8;
  T source[kLanes];
  std::memcpy(source, reg<T>(w, in.a), sizeof(source));
  for (uint32_t k = 0; k < in.count; ++k) {
    uint32_t* d = reg<uint32_t>(w, w.block->run->program.lists[in.list + k]);
    const uint64_t field = (uint64_t{1} << bits) - 1;
    eachLane(mask, [&](int i) { d[i] = static_cast<uint32_t>(source[i] >> (bits * k) & field); });
  }
}
template <class T>
void pack(Warp& w, const Instruction& in, uint32_t mask) {
  const uint32_t bits = in.size * 8;
  T result[kLanes] = {};
  for (uint32_t k = 0; k < in.count; ++k) {
    const uint32_t* s = reg<uint32_t>(w, w.block->run->program.lists[in.list + k]);
    const uint64_t field = (uint64_t{1} << bits) - 1;
    for (int i = 0; i < kLanes; ++i) result[i] |= static_cast<T>((s[i] & field) << (bits * k));
  }
  T* d = reg<T>(w, in.d);
  eachLane(mask, [&](int i) { d[i] = result[i]; });
}

void packing(FormTable& table, const std::string& type, Handler to, Handler from, const char* width, int size,
             int parts) {
  static const char* const unpackSignature[] = {"V4A4", "V4A8"};
  static const char* const packSignature[] = {"D4W4", "D8W4"};
  const int wide = width[0] == '8';
  Form form;
  form.kind = Class::move;
  form.size = static_cast<uint8_t>(size);
  form.vec = static_cast<uint8_t>(parts);
  form.fn = to;
  form.signature = unpackSignature[wide];
  table.add("mov.unpack" + type + "." + std::to_string(parts), form);
  form.fn = from;
  form.signature = packSignature[wide];
  table.add("mov.pack" + type + "." + std::to_string(parts), form);
}

}  // namespace

void addMoveForms(FormTable& table) {
  for (const char* type : {".b16", ".u16", ".s16", ".b32", ".u32", ".s32", ".f32"}) {
    table.add(std::string("mov") + type, "D4A4", &move<uint32_t>, Class::move);
  }
  for (const char* type : {".b64", ".u64", ".s64", ".f64"}) {
    table.add(std::string("mov") + type, "D8A8", &move<uint64_t>, Class::move);
  }
  table.add("mov.pred", "D1A1", &move<uint32_t>, Class::move);
  packing(table, ".b16", &unpack<uint32_t>, &pack<uint32_t>, "4", 1, 2);
  packing(table, ".b32", &unpack<uint32_t>, &pack<uint32_t>, "4", 2, 2);
  packing(table, ".b32", &unpack<uint32_t>, &pack<uint32_t>, "4", 1, 4);
  packing(table, ".b64", &unpack<uint64_t>, &pack<uint64_t>, "8", 4, 2);
  packing(table, ".b64", &unpack<uint64_t>, &pack<uint64_t>, "8", 2, 4);
  // cvta changes nothing between global and generic: one space of addresses.
  for (const char* name : {"cvta.global.u64", "cvta.to.global.u64", "cvta.const.u64", "cvta.to.const.u64"}) {
    table.add(name, "D8A8", &move<uint64_t>, Class::move);
  }
}

}  // namespace warploom::cudasim
