// Truths of mov: whole registers, packing, unpacking, clocks. Flow: control_flow.cc.
#include "own.h"

namespace warploom::test {

namespace {

template <class T>
void moves(Truths& truths, std::initializer_list<const char*> types) {
  for (const char* type : types) truths.map<T, T>(std::string("mov.") + type, [](T a) { return a; });
}

// The parts of a word trade places; lower parts stand first in the braces.
struct Packing {
  const char* form;
  Type whole, part;
  int parts;
};
const Packing kPackings[] = {{"b16.2", Type::b16, Type::u8, 2},
                             {"b32.2", Type::b32, Type::u16, 2},
                             {"b32.4", Type::b32, Type::u8, 4},
                             {"b64.2", Type::b64, Type::u32, 2},
                             {"b64.4", Type::b64, Type::u16, 4}};

void packings(Truths& truths) {
  for (const Packing& packing : kPackings) {
    const int bits = 8 * bytesOf(packing.part), count = packing.parts;
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    const std::string whole = nameOf(packing.whole), n = std::to_string(count);
    const std::string width = whole.substr(1), part = "u" + std::to_string(bits);
    const std::string scope = "{ .reg .b" + std::to_string(bits) + " %part<4>; .reg .b64 %wide<2>; ";
    std::string list;
    for (int i = 0; i < count; ++i) list += (i == 0 ? "{%part" : ", %part") + std::to_string(i);
    list += "}";

    // Unpacked, and put together again the other way round by shifts.
    Truth unpack;
    unpack.d = unpack.dRegister = Type::b64;
    unpack.sources = unpack.sourceRegisters = {packing.whole};
    unpack.text = scope + "mov." + whole + " " + list + ", {a}; mov.b64 {d}, 0; ";
    for (int i = 0; i < count; ++i) {
      unpack.text += "cvt.u64." + part + " %wide0, %part" + std::to_string(i) + "; shl.b64 {d}, {d}, " +
                     std::to_string(bits) + "; or.b64 {d}, {d}, %wide0;\n";
    }
    // A sink takes a part that nobody wants.
    unpack.text += "mov." + whole + " {_, %part0" + (count == 4 ? ", _, _}" : "}") + ", {a}; cvt.u64." + part +
                   " %wide0, %part0; xor.b64 {d}, {d}, %wide0; }";
    unpack.reference = [=](Lane& lane) {
      for (int i = 0; i < count; ++i) lane.d = lane.d << bits | (lane.s[0] >> (i * bits) & mask);
      lane.d ^= lane.s[0] >> bits & mask;
    };
    truths.add("mov.unpack." + std::string(packing.form), unpack);

    // Packed from the low bits of four registers of 64.
    Truth pack;
    pack.d = pack.dRegister = packing.whole;
    const char* const places[] = {"{a}", "{b}", "{c}", "{e}"};
    pack.text = scope;
    for (int i = 0; i < count; ++i) {
      pack.sources.push_back(Type::u64);
      pack.values[i] = {0, ~uint64_t{0}, 0x8123456789abcd80 + static_cast<uint64_t>(i)};
      pack.text += "cvt." + part + ".u64 %part" + std::to_string(i) + ", " + places[i] + "; ";
    }
    pack.sourceRegisters = pack.sources;
    pack.text += "mov." + whole + " {d}, " + list + "; }";
    pack.reference = [=](Lane& lane) {
      for (int i = 0; i < count; ++i) lane.d |= (lane.s[i] & mask) << (i * bits);
    };
    truths.add("mov.pack." + std::string(packing.form), pack);
  }
}

// A clock never goes back, and moves while a thread works. Halves belong to the whole: its upper half cannot be less
// than one read before, nor its lower half stand still.
void clocks(const std::string& form) {
  const std::string name = form.substr(4);
  const bool wide = name == "%clock64" || name == "%globaltimer", high = name.find("_hi") != std::string::npos;
  const std::string type = wide ? "u64" : "u32", r = wide ? "%rd" : "%r";
  Proof proof(
      ".visible .entry k$(.param .u64 out)\n{\n.reg .pred %p<2>; .reg .b32 %r<9>; .reg .b64 %rd<9>;\n"
      "ld.param.u64 %rd0, [out]; mov.u32 %r0, 0; mov.u32 %r5, 1;\n"
      "mov." +
      type + " " + r + "1, " + name +
      ";\n"
      "again: add.u32 %r0, %r0, 1; mad.lo.u32 %r5, %r5, 5, %r0; setp.lt.u32 %p0, %r0, 100000; @%p0 bra again;\n"
      "mov." +
      type + " " + r + "2, " + name +
      ";\n"
      "st.global.u32 [%rd0], %r5; st.global." +
      type + " [%rd0+8], " + r + "1; st.global." + type + " [%rd0+16], " + r + "2;\nret;\n}\n");
  const uint64_t out = proof.put(std::vector<uint64_t>(3));
  proof.launch({1}, {1}, out);
  const std::vector<uint64_t> read = proof.get<uint64_t>(out, 3);
  if (high ? read[2] - read[1] > 1 : read[2] == read[1]) wrong(form, "time", 1, read[2], read[1]);
  if (wide && read[2] < read[1]) wrong(form, "time", 2, read[2], read[1]);
}

}  // namespace

void addFlowTruths(Truths& truths);

void addControlTruths(Truths& truths) {
  addFlowTruths(truths);
  moves<B16>(truths, {"b16", "u16", "s16"});
  moves<B32>(truths, {"b32", "u32", "s32", "f32"});
  moves<B64>(truths, {"b64", "u64", "s64", "f64"});
  moves<bool>(truths, {"pred"});
  packings(truths);
  for (const char* name : {"%clock", "%clock_hi", "%clock64", "%globaltimer", "%globaltimer_lo", "%globaltimer_hi"}) {
    truths.own(std::string("mov.") + name, clocks);
  }
}

}  // namespace warploom::test
