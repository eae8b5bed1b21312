// atom and red: every pair of edge values in a cell of its own, then all threads at one cell.
#include <algorithm>

#include "half_bits.h"
#include "own.h"

namespace warploom::test {

namespace {

struct Shape {
  bool returns = true;
  std::string space, op, type;
  int bytes = 4;
};
Shape shapeOf(const std::string& form) {
  const std::vector<std::string> parts = partsOf(form);
  Shape shape;
  shape.returns = parts[0] == "atom";
  std::size_t i = 1;
  if (parts[i] == "global" || parts[i] == "shared") shape.space = parts[i++];
  shape.op = parts[i];
  shape.type = parts.back();
  const std::string& t = shape.type;
  shape.bytes = t == "f16" || t == "bf16" || t == "b16" ? 2 : t.find("64") != std::string::npos ? 8 : 4;
  return shape;
}

template <class T>
uint64_t integers(const std::string& op, T old, T b, T c) {
  using U = std::make_unsigned_t<T>;
  T r = b;  // exch
  if (op == "add") r = static_cast<T>(static_cast<U>(old) + static_cast<U>(b));
  if (op == "min") r = std::min(old, b);
  if (op == "max") r = std::max(old, b);
  if (op == "and") r = old & b;
  if (op == "or") r = old | b;
  if (op == "xor") r = old ^ b;
  if (op == "inc") r = old >= b ? T(0) : static_cast<T>(old + 1);
  if (op == "dec") r = old == 0 || old > b ? b : static_cast<T>(old - 1);
  if (op == "cas") r = old == b ? c : old;
  return to<T>(r);
}
float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }
uint64_t addHalf(uint64_t a, uint64_t b, const Format16& format) {
  return encode16(decode16(static_cast<uint16_t>(a), format) + decode16(static_cast<uint16_t>(b), format), format);
}

// What the cell holds next. atom.add.f32 flushes denormals in global memory, and not in shared memory.
uint64_t next(const Shape& shape, bool global, uint64_t old, uint64_t b, uint64_t c) {
  const std::string &op = shape.op, &type = shape.type;
  const Format16& half = type[0] == 'b' ? kBFloat16 : kFloat16;
  if (type == "f32" && global) {
    return to<float>(flushed(flushed(from<float>(old)) + flushed(from<float>(b))));
  }
  if (type == "f32") return to<float>(from<float>(old) + from<float>(b));
  if (type == "f64") return to<double>(from<double>(old) + from<double>(b));
  if (type == "f16" || type == "bf16") return addHalf(old, b, half);
  if (type == "f16x2" || type == "bf16x2") return addHalf(old >> 16, b >> 16, half) << 16 | addHalf(old, b, half);
  if (type == "s32") return integers<int32_t>(op, from<int32_t>(old), from<int32_t>(b), from<int32_t>(c));
  if (type == "s64") return integers<int64_t>(op, from<int64_t>(old), from<int64_t>(b), from<int64_t>(c));
  if (shape.bytes == 8) return integers<uint64_t>(op, old, b, c);
  if (shape.bytes == 2) return integers<uint16_t>(op, from<uint16_t>(old), from<uint16_t>(b), from<uint16_t>(c));
  return integers<uint32_t>(op, from<uint32_t>(old), from<uint32_t>(b), from<uint32_t>(c));
}

Type typeOfName(const std::string& name) {
  for (Type type : {Type::u32, Type::s32, Type::u64, Type::s64, Type::b16, Type::b32, Type::b64, Type::f16, Type::bf16,
                    Type::f16x2, Type::bf16x2, Type::f32, Type::f64}) {
    if (name == nameOf(type)) return type;
  }
  return Type::b32;
}
bool nan16(uint64_t bits, const std::string& type) {
  return std::isnan(decode16(static_cast<uint16_t>(bits), type[0] == 'b' ? kBFloat16 : kFloat16));
}
// Bits, except that all NaNs are equal.
bool same(const std::string& type, uint64_t x, uint64_t y) {
  if (x == y) return true;
  if (type == "f32") return std::isnan(from<float>(x)) && std::isnan(from<float>(y));
  if (type == "f64") return std::isnan(from<double>(x)) && std::isnan(from<double>(y));
  if (type == "f16" || type == "bf16") return nan16(x, type) && nan16(y, type);
  if (type == "f16x2" || type == "bf16x2") {
    const auto half = [&](uint64_t a, uint64_t b) {
      return (a & 0xffff) == (b & 0xffff) || (nan16(a, type) && nan16(b, type));
    };
    return half(x, y) && half(x >> 16, y >> 16);
  }
  return false;
}

const char* fileOf(const Shape& shape) { return shape.bytes == 2 ? "%h" : shape.bytes == 4 ? "%r" : "%d"; }
std::string bitsOf(const Shape& shape) { return ".b" + std::to_string(8 * shape.bytes); }
std::string instruction(const std::string& form, const Shape& shape, const std::string& address, const char* d,
                        const char* b, const char* c) {
  const std::string file = fileOf(shape);
  std::string text = form + " ";
  if (shape.returns) text += file + d + ", ";
  text += address + ", " + file + b;
  if (shape.op == "cas") text += ", " + file + c;
  return text + ";\n";
}
// The target that has the form.
std::string targetOf(const Shape& shape) { return shape.type.rfind("bf16", 0) == 0 ? "sm_90" : "sm_80"; }

// A thread a row of old, b, c. Cells of 16 bytes, the element behind as many bytes as it has itself. Where: the space
// of the cells; mixed: both in one warp.
void cells(const std::string& form, const Shape& shape, const std::string& where) {
  const std::string size = std::to_string(shape.bytes), b = bitsOf(shape), file = fileOf(shape);
  std::string text =
      ".visible .entry k$(.param .u64 in, .param .u64 out, .param .u64 cells)\n{\n"
      ".reg .pred %p<4>; .reg .b16 %h<9>; .reg .b32 %r<9>; .reg .b64 %d<12>;\n.shared .align 16 .b8 sm[1024];\n"
      "mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mad.lo.u32 %r1, %r1, 64, %r0;\n"
      "ld.param.u64 %d0, [in]; mul.wide.u32 %d1, %r1, 32; add.u64 %d0, %d0, %d1;\n"
      "ld.param.u64 %d10, [out]; mul.wide.u32 %d1, %r1, 8; add.u64 %d10, %d10, %d1;\n"
      "ld.param.u64 %d8, [cells]; mul.wide.u32 %d1, %r1, 16; add.u64 %d8, %d8, %d1;\n"
      "mul.wide.u32 %d1, %r0, 16; mov.u64 %d9, sm; add.u64 %d9, %d9, %d1;\n"
      "ld.global.b64 %d2, [%d8]; st.shared.b64 [%d9], %d2; ld.global.b64 %d2, [%d8+8]; st.shared.b64 [%d9+8], %d2;\n";
  const bool generic = shape.space.empty();
  if (generic) text += "mov.u64 %d11, %d9; cvta.shared.u64 %d9, %d9;\n";
  text += "and.b32 %r2, %r0, 1; setp.eq.u32 %p1, %r2, 1;\n";
  text += "ld.global" + b + " " + file + "4, [%d0+8]; ld.global" + b + " " + file + "5, [%d0+16];\n";
  text += where == "mixed"    ? "selp.b64 %d7, %d9, %d8, %p1;\n"
          : where == "shared" ? "mov.u64 %d7, %d9;\n"
                              : "mov.u64 %d7, %d8;\n";
  text += instruction(form, shape, "[%d7+" + size + "]", "3", "4", "5");
  if (shape.returns) text += "st.global" + b + " [%d10], " + file + "3;\n";
  // Back from shared memory, for the threads whose cells are there.
  const std::string from = generic ? "%d11" : "%d9", guard = where == "mixed" ? "@%p1 " : "";
  if (where != "global") {
    text += "ld.shared.b64 %d2, [" + from + "]; " + guard + "st.global.b64 [%d8], %d2;\n";
    text += "ld.shared.b64 %d2, [" + from + "+8]; " + guard + "st.global.b64 [%d8+8], %d2;\n";
  }
  Proof proof(text + "ret;\n}\n", targetOf(shape));
  const std::vector<uint64_t>& values = edgesOf(typeOfName(shape.type));
  std::vector<uint64_t> rows, before;
  Noise noise(23);
  const uint64_t mask = shape.bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * shape.bytes)) - 1;
  std::size_t count = 0;
  const auto row = [&](uint64_t old, uint64_t x) {
    rows.insert(rows.end(), {old, x, values[(count * 7 + 5) % values.size()], 0});
    uint64_t cell[2] = {noise(), noise()};
    std::memcpy(reinterpret_cast<uint8_t*>(cell) + shape.bytes, &old, static_cast<std::size_t>(shape.bytes));
    before.insert(before.end(), cell, cell + 2);
    ++count;
  };
  for (uint64_t old : values) {
    for (uint64_t x : values) row(old, x);
  }
  while (count < 900 || count % 64 != 0) row(noise() & mask, noise() & mask);
  const uint64_t out = proof.put(std::vector<uint64_t>(count)), cellsAt = proof.put(before);
  proof.launch({static_cast<uint32_t>(count / 64)}, {64}, proof.put(rows), out, cellsAt);
  const std::vector<uint64_t> got = proof.get<uint64_t>(out, count), after = proof.get<uint64_t>(cellsAt, 2 * count);
  for (std::size_t i = 0; i < count; ++i) {
    const bool global = where == "global" || (where == "mixed" && i % 2 == 0);
    const uint64_t wanted = next(shape, global, rows[4 * i], rows[4 * i + 1], rows[4 * i + 2]) & mask;
    const auto* cell = reinterpret_cast<const uint8_t*>(&after[2 * i]);
    uint64_t found = 0;
    std::memcpy(&found, cell + shape.bytes, static_cast<std::size_t>(shape.bytes));
    if (!same(shape.type, found, wanted)) return wrong(form, "the cell", i, found, wanted);
    if (shape.returns && (got[i] & mask) != rows[4 * i]) return wrong(form, "the old value", i, got[i], rows[4 * i]);
    for (int k = 0; k < 16; ++k) {
      if (k >= shape.bytes && k < 2 * shape.bytes) continue;
      const uint8_t was = reinterpret_cast<const uint8_t*>(&before[2 * i])[k];
      if (cell[k] != was) return wrong(form, "a neighbour of the cell", i, cell[k], was);
    }
  }
}

// The operand of a thread and the first value of the cell, such that sums are exact in any order.
uint64_t operandOf(const Shape& shape, uint64_t i, Noise& noise) {
  const std::string &op = shape.op, &type = shape.type;
  if (op == "inc" || op == "dec") return 37;
  if (op == "exch") return i + 1;
  if (type == "f32") return to<float>(static_cast<float>(i % 7 + 1));
  if (type == "f64") return to<double>(static_cast<double>(i % 7 + 1));
  if (type == "f16") return encode16(static_cast<double>(i % 4 + 1), kFloat16);
  if (type == "bf16") return encode16(1, kBFloat16);
  if (type == "f16x2") return encode16(static_cast<double>(i % 4 + 1), kFloat16) | encode16(2, kFloat16) << 16;
  if (type == "bf16x2") return encode16(1, kBFloat16) | encode16(2, kBFloat16) << 16;
  return shape.bytes == 8 ? noise() : noise() & 0xffffffff;
}

// All threads at one cell. Whatever their order, what they found and what they left form a chain from the first value
// to the last: {first} and all that was left are the same values as all that was found and {last}.
void contention(const std::string& form, const Shape& shape, bool shared) {
  const uint32_t blocks = shared ? 1 : 2, n = 64 * blocks;
  const std::string b = bitsOf(shape), file = fileOf(shape);
  std::string text =
      ".visible .entry k$(.param .u64 in, .param .u64 out, .param .u64 cell)\n{\n"
      ".reg .pred %p<4>; .reg .b16 %h<9>; .reg .b32 %r<9>; .reg .b64 %d<12>;\n.shared .align 16 .b64 sm;\n"
      "mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mad.lo.u32 %r1, %r1, 64, %r0; mul.wide.u32 %d1, %r1, 8;\n"
      "ld.param.u64 %d0, [in]; add.u64 %d0, %d0, %d1; ld.param.u64 %d10, [out]; add.u64 %d10, %d10, %d1;\n"
      "ld.param.u64 %d8, [cell]; mov.u64 %d7, %d8; setp.eq.u32 %p1, %r0, 0;\n"
      "ld.global" +
      b + " " + file + "4, [%d0];\n";
  if (shared) {
    text += "mov.u64 %d7, sm; @%p1 ld.global.b64 %d2, [%d8]; @%p1 st.shared.b64 [%d7], %d2; bar.sync 0;\n";
    if (shape.space.empty()) text += "cvta.shared.u64 %d7, %d7;\n";
  }
  if (shape.op == "cas") {
    // Counts up by 1, again until nobody was faster.
    const std::string f = file;
    text += "mov" + b + " " + f + "3, 0;\nagain:\nmov" + b + " " + f + "4, " + f + "3; add.u" + b.substr(2) + " " + f +
            "5, " + f + "4, 1;\n";
    text += instruction(form, shape, "[%d7]", "3", "4", "5");
    text += shape.bytes == 2 ? "setp.ne.u16 %p2, %h3, %h4;\n" : "setp.ne" + b + " %p2, " + f + "3, " + f + "4;\n";
    text += "@%p2 bra again;\n";
  } else {
    text += instruction(form, shape, "[%d7]", "3", "4", "5");
  }
  if (shape.returns) text += "st.global" + b + " [%d10], " + file + "3;\n";
  if (shared) text += "bar.sync 0; @!%p1 bra done; ld.shared.b64 %d2, [sm]; st.global.b64 [%d8], %d2; done:\n";
  Proof proof(text + "ret;\n}\n", targetOf(shape));
  std::vector<uint64_t> operands;
  Noise noise(29);
  for (uint32_t i = 0; i < n; ++i) operands.push_back(operandOf(shape, i, noise));
  const uint64_t first = shape.op == "and" ? ~uint64_t{0} >> (64 - 8 * shape.bytes) : 0;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    proof.settings.seed = seed;
    const uint64_t out = proof.put(std::vector<uint64_t>(n)), cell = proof.put(std::vector<uint64_t>{first});
    proof.launch({blocks}, {64}, proof.put(operands), out, cell);
    const uint64_t last = proof.get<uint64_t>(cell, 1)[0];
    std::vector<uint64_t> found = proof.get<uint64_t>(out, n), left = {first};
    uint64_t folded = first;
    for (uint32_t i = 0; i < n; ++i) {
      if (shape.op == "cas") {
        left.push_back(found[i] + 1);
        folded += 1;
      } else {
        left.push_back(next(shape, !shared, found[i], operands[i], 0));
        folded = next(shape, !shared, folded, operands[i], 0);
      }
    }
    if (shape.op != "exch" && last != folded) wrong(form, "the cell of all", n, last, folded);
    if (!shape.returns) continue;
    found.push_back(last);
    std::sort(found.begin(), found.end());
    std::sort(left.begin(), left.end());
    if (found != left) failed("truth", 0, form + ": what the threads found and left is no chain");
  }
}

void atomic(const std::string& form) {
  const Shape shape = shapeOf(form);
  const bool generic = shape.space.empty();
  for (const char* where : {"global", "shared", "mixed"}) {
    if (generic || shape.space == where) cells(form, shape, where);
  }
  if (shape.space != "shared") contention(form, shape, false);
  if (shape.space != "global") contention(form, shape, true);
}

}  // namespace

void addAtomicTruths(Truths& truths) {
  const std::pair<const char*, std::vector<const char*>> ops[] = {
      {"add", {"u32", "s32", "u64", "f32", "f64", "noftz.f16", "noftz.f16x2", "noftz.bf16", "noftz.bf16x2"}},
      {"min", {"u32", "s32", "u64", "s64"}},
      {"max", {"u32", "s32", "u64", "s64"}},
      {"and", {"b32", "b64"}},
      {"or", {"b32", "b64"}},
      {"xor", {"b32", "b64"}},
      {"inc", {"u32"}},
      {"dec", {"u32"}},
      {"exch", {"b32", "b64"}},
      {"cas", {"b16", "b32", "b64"}}};
  for (const char* space : {"", ".global", ".shared"}) {
    for (const auto& op : ops) {
      for (const char* type : op.second) {
        const std::string tail = std::string(space) + "." + op.first + "." + type;
        truths.own("atom" + tail, atomic);
        if (std::string(op.first) != "exch" && std::string(op.first) != "cas") truths.own("red" + tail, atomic);
      }
    }
  }
}

}  // namespace warploom::test
