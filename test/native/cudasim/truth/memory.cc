// Loads and stores of all spaces, types and vector lengths. Each of 64 threads has a window of 64 bytes in the space.
#include <algorithm>
#include <array>

#include "own.h"

namespace warploom::test {

void addCopyTruths(Truths& truths);
void addAddressTruths(Truths& truths);

namespace {

constexpr int kThreads = 64, kWindow = 64;

struct Shape {
  std::string space;  // "" is generic
  int vec = 1, bytes = 4;
  bool isSigned = false;
};
Shape shapeOf(const std::string& form) {
  Shape shape;
  const std::vector<std::string> parts = partsOf(form);
  for (std::size_t i = 1; i + 1 < parts.size(); ++i) {
    if (parts[i] == "v2" || parts[i] == "v4") {
      shape.vec = parts[i][1] - '0';
    } else {
      shape.space = parts[i];
    }
  }
  shape.isSigned = parts.back()[0] == 's';
  shape.bytes = std::atoi(parts.back().c_str() + 1) / 8;
  return shape;
}

// Registers of `width` bits: %h, %r or %d, from `first` on.
std::string registers(int width, int count, int first) {
  const char* file = width == 16 ? "%h" : width == 32 ? "%r" : "%d";
  std::string text;
  for (int i = 0; i < count; ++i) text += (i > 0 ? ", " : "") + std::string(file) + std::to_string(first + i);
  return count == 1 ? text : "{" + text + "}";
}
std::string one(int width, int number) { return registers(width, 1, number); }
std::string bits(int width) { return ".b" + std::to_string(width); }

// %r0 thread, %d0 its window in the space `where`, %p1 set in a third of the threads, %d30 source of bytes, %d31 out.
// %r2: the byte that the thread starts at inside its window.
const char* const kHead =
    ".visible .entry k$(.param .u64 in, .param .u64 at, .param .u64 out)\n{\n"
    ".reg .pred %p<4>; .reg .b16 %h<24>; .reg .b32 %r<32>; .reg .b64 %d<40>;\n"
    ".shared .align 16 .b8 sm[4096]; .local .align 16 .b8 lm[64];\n"
    "mov.u32 %r0, %tid.x; rem.u32 %r1, %r0, 3; setp.eq.u32 %p1, %r1, 0;\n"
    "ld.param.u64 %d30, [in]; ld.param.u64 %d31, [out]; ld.param.u64 %d32, [at];\n"
    "mul.wide.u32 %d1, %r0, 4; add.u64 %d32, %d32, %d1; ld.global.u32 %r2, [%d32];\n"
    "mul.wide.u32 %d1, %r0, 64; add.u64 %d30, %d30, %d1; cvt.u64.u32 %d2, %r2;\n";

// Puts the window's address into %d0. `where`: global, shared, local, const; `generic` converts it.
std::string windowIn(const std::string& where, bool generic) {
  if (where == "global") return "mov.u64 %d0, %d30;\n";
  std::string text;
  if (where == "shared") text = "mov.u64 %d0, sm; add.u64 %d0, %d0, %d1;\n";
  if (where == "local") text = "mov.u64 %d0, lm;\n";
  if (where == "const") text = "mov.u64 %d0, c$;\n";
  if (generic) text += "cvta." + where + ".u64 %d0, %d0;\n";
  return text;
}
// Copies the 64 bytes at %d30 into the window, byte by byte.
std::string fill(const std::string& where) {
  if (where == "global" || where == "const") return "";
  std::string text = windowIn(where, false);
  for (int i = 0; i < kWindow; ++i) {
    const std::string at = "+" + std::to_string(i) + "]";
    text += "ld.global.b8 %h0, [%d30" + at + "; st." + where + ".b8 [%d0" + at + ", %h0;\n";
  }
  return text;
}

std::vector<uint8_t> randomBytes(std::size_t count, uint64_t seed) {
  Noise noise(seed);
  std::vector<uint8_t> data(count);
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(noise() >> 17);
  return data;
}
// Where in its window each thread begins: aligned for the access, in the first half.
std::vector<uint32_t> starts(const Shape& shape) {
  const uint32_t step = static_cast<uint32_t>(shape.vec * shape.bytes);
  std::vector<uint32_t> at;
  for (uint32_t t = 0; t < kThreads; ++t) at.push_back(step * (t * 5 % (32 / step)));
  return at;
}

// A value of memory as a register of `width` bits holds it.
uint64_t extended(const uint8_t* from, const Shape& shape, int width) {
  uint64_t value = 0;
  for (int i = 0; i < shape.bytes; ++i) value |= static_cast<uint64_t>(from[i]) << (8 * i);
  if (shape.isSigned && shape.bytes < 8 && (value >> (8 * shape.bytes - 1) & 1) != 0) {
    value |= ~uint64_t{0} << (8 * shape.bytes);
  }
  return width == 64 ? value : value & ((uint64_t{1} << width) - 1);
}

// Three loads: at the start, 16 bytes further by the instruction's offset, and in some threads only.
std::string loads(const std::string& form, const Shape& shape, int width, const std::string& base) {
  std::string text;
  for (int k = 0; k < shape.vec; ++k) {
    const std::string value = width == 16 ? "0x5a5a" : width == 32 ? "0x5a5a5a5a" : "0x5a5a5a5a5a5a5a5a";
    text += "mov" + bits(width) + " " + one(width, 12 + k) + ", " + value + ";\n";
  }
  text += form + " " + registers(width, shape.vec, 4) + ", [" + base + "];\n";
  text += form + " " + registers(width, shape.vec, 8) + ", [" + base + "+16];\n";
  text += "@%p1 " + form + " " + registers(width, shape.vec, 12) + ", [" + base + "+32];\n";
  text += "mad.wide.u32 %d31, %r0, 96, %d31;\n";
  for (int k = 0; k < 12; ++k) {
    if (k % 4 >= shape.vec) continue;
    text += "st.global" + bits(width) + " [%d31+" + std::to_string(8 * k) + "], " + one(width, 4 + k) + ";\n";
  }
  return text + "ret;\n}\n";
}
void checkLoads(const std::string& form, const Shape& shape, int width, const std::vector<uint8_t>& data, int stride,
                const std::vector<uint32_t>& at, const std::vector<uint64_t>& out, bool guarded = true) {
  const uint64_t mask = width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
  for (std::size_t t = 0; t < kThreads; ++t) {
    for (int k = 0; k < 12; ++k) {
      if (k % 4 >= shape.vec) continue;
      uint64_t expected = 0x5a5a5a5a5a5a5a5a & mask;
      if (k < 8 || t % 3 == 0 || !guarded) {
        const int byte = static_cast<int>(at[t]) + k / 4 * 16 + k % 4 * shape.bytes;
        expected = extended(&data[t * static_cast<std::size_t>(stride) + static_cast<std::size_t>(byte)], shape, width);
      }
      const uint64_t got = out[t * 12 + static_cast<std::size_t>(k)] & mask;
      if (got != expected) return wrong(form, ("register " + std::to_string(k)).c_str(), t, got, expected);
    }
  }
}

std::vector<std::string> placesOf(const Shape& shape) {
  if (shape.space.empty()) return {"global", "shared", "local", "const", "mixed"};
  return {shape.space};
}

void load(const std::string& form) {
  const Shape shape = shapeOf(form);
  const std::vector<uint8_t> data = randomBytes(kThreads * kWindow, 7);
  const std::vector<uint32_t> at = starts(shape);
  for (int width : {16, 32, 64}) {
    if (width < 8 * shape.bytes) continue;
    for (const std::string& where : placesOf(shape)) {
      Note note(where + ", " + std::to_string(width) + " bits");
      const bool generic = shape.space.empty();
      std::string text = kHead;
      if (where == "const") {
        std::string list;
        // All threads share one window: constant memory is small.
        for (int i = 0; i < kWindow; ++i)
          list += (i == 0 ? "" : ",") + std::to_string(data[static_cast<std::size_t>(i)]);
        text = ".const .align 16 .b8 c$[64] = {" + list + "};\n" + text;
      }
      if (where == "mixed") {
        // Three kinds of lanes in one warp.
        text += fill("shared") + fill("local") + windowIn("shared", true) + "mov.u64 %d3, %d0;\n" +
                windowIn("local", true) + "mov.u64 %d4, %d0;\n" +
                "setp.eq.u32 %p2, %r1, 1; selp.b64 %d0, %d3, %d4, %p2; selp.b64 %d0, %d30, %d0, %p1;\n";
      } else {
        text += fill(where) + windowIn(where, generic);
      }
      text += "add.u64 %d0, %d0, %d2;\n" + loads(form, shape, width, "%d0");
      Proof proof(text);
      const uint64_t out = proof.put(std::vector<uint64_t>(kThreads * 12));
      proof.launch({1}, {kThreads}, proof.put(data), proof.put(at), out);
      checkLoads(form, shape, width, data, where == "const" ? 0 : kWindow, at, proof.get<uint64_t>(out, kThreads * 12));
    }
  }
}

// The parameters of a kernel, addressed by name and by register, and the result of a function.
void loadParam(const std::string& form) {
  const Shape shape = shapeOf(form);
  using Bytes = std::array<uint8_t, kWindow>;
  const std::vector<uint8_t> data = randomBytes(kWindow, 11);
  Bytes bytes{};
  std::copy(data.begin(), data.end(), bytes.begin());
  for (int width : {16, 32, 64}) {
    if (width < 8 * shape.bytes) continue;
    for (const std::string base : {"bytes", "%d0", "r1"}) {
      Note note(base + ", " + std::to_string(width) + " bits");
      const bool byRegister = base == "%d0", byCall = base == "r1";
      std::string text = kHead;
      replace(text, ".param .u64 out)", ".param .u64 out, .param .align 16 .b8 bytes[64])");
      if (byRegister) text += "mov.u64 %d0, bytes; add.u64 %d0, %d0, %d2;\n";
      std::string body = loads(form, shape, width, base);
      if (byCall) {
        std::string copy, pass;
        for (int i = 0; i < kWindow; ++i) {
          const std::string n = std::to_string(i);
          copy += "ld.param.b8 %h0, [a+" + n + "]; st.param.b8 [r+" + n + "], %h0;\n";
          pass += "ld.param.b8 %h0, [bytes+" + n + "]; st.param.b8 [a1+" + n + "], %h0;\n";
        }
        text = ".func (.param .align 16 .b8 r[64]) f$(.param .align 16 .b8 a[64])\n{\n.reg .b16 %h<2>;\n" + copy +
               "ret;\n}\n" + text;
        text += "{\n.param .align 16 .b8 a1[64];\n.param .align 16 .b8 r1[64];\n" + pass + "call.uni (r1), f$, (a1);\n";
        replace(body, "ret;\n}\n", "}\nret;\n}\n");
        replace(body, "@%p1 ", "");  // the assembler takes no guard there
      }
      Proof proof(text + body);
      std::vector<uint32_t> at(kThreads);
      if (byRegister) at = starts(shape);
      const uint64_t out = proof.put(std::vector<uint64_t>(kThreads * 12));
      proof.launch({1}, {kThreads}, proof.put(randomBytes(kThreads * kWindow, 1)), proof.put(at), out, bytes);
      checkLoads(form, shape, width, data, 0, at, proof.get<uint64_t>(out, kThreads * 12), !byCall);
    }
  }
}

// Stores at the start of the window's place, and 32 bytes further in some threads; all bytes of the window are looked
// at.
void store(const std::string& form) {
  const Shape shape = shapeOf(form);
  const bool toParam = shape.space == "param";
  const std::vector<uint8_t> before = randomBytes(kThreads * kWindow, 13);
  std::vector<uint32_t> at = starts(shape);
  if (toParam) std::fill(at.begin(), at.end(), 0);
  for (int width : {16, 32, 64}) {
    if (width < 8 * shape.bytes) continue;
    std::vector<uint64_t> values;
    Noise noise(17);
    for (int i = 0; i < kThreads * 4; ++i) values.push_back(noise());
    for (const std::string& where : toParam ? std::vector<std::string>{"param"} : placesOf(shape)) {
      if (where == "const") continue;
      Note note(where + ", " + std::to_string(width) + " bits");
      std::string text = kHead;
      replace(text, ".param .u64 out)", ".param .u64 out, .param .u64 values)");
      text += "ld.param.u64 %d33, [values]; mul.wide.u32 %d3, %r0, 32; add.u64 %d33, %d33, %d3;\n";
      for (int k = 0; k < shape.vec; ++k) {
        text += "ld.global" + bits(width) + " " + one(width, 8 + k) + ", [%d33+" + std::to_string(8 * k) + "];\n";
      }
      text += "add.u64 %d31, %d31, %d1;\n";
      if (toParam) {
        std::string copy, pass, back;
        for (int i = 0; i < kWindow; ++i) {
          const std::string n = std::to_string(i);
          copy += "ld.param.b8 %h0, [a+" + n + "]; st.param.b8 [r+" + n + "], %h0;\n";
          pass += "ld.global.b8 %h0, [%d30+" + n + "]; st.param.b8 [a1+" + n + "], %h0;\n";
          back += "ld.param.b8 %h0, [r1+" + n + "]; st.global.b8 [%d31+" + n + "], %h0;\n";
        }
        text = ".func (.param .align 16 .b8 r[64]) f$(.param .align 16 .b8 a[64])\n{\n.reg .b16 %h<2>;\n" + copy +
               "ret;\n}\n" + text + "{\n.param .align 16 .b8 a1[64];\n.param .align 16 .b8 r1[64];\n" + pass;
        text += form + " [a1+16], " + registers(width, shape.vec, 8) + ";\n";
        text += form + " [a1+32], " + registers(width, shape.vec, 8) + ";\n";
        text += "call.uni (r1), f$, (a1);\n" + back + "}\nret;\n}\n";
      } else {
        const bool mixed = where == "mixed", generic = shape.space.empty();
        if (mixed) {
          text += fill("shared") + fill("local") + windowIn("shared", true) + "mov.u64 %d3, %d0;\n" +
                  windowIn("local", true) + "mov.u64 %d4, %d0;\n" +
                  "setp.eq.u32 %p2, %r1, 1; selp.b64 %d0, %d3, %d4, %p2; selp.b64 %d0, %d30, %d0, %p1;\n";
        } else {
          text += fill(where) + windowIn(where, generic);
        }
        text += "mov.u64 %d5, %d0; add.u64 %d0, %d0, %d2;\n";
        text += form + " [%d0], " + registers(width, shape.vec, 8) + ";\n";
        text += "@%p1 " + form + " [%d0+32], " + registers(width, shape.vec, 8) + ";\n";
        for (int i = 0; i < kWindow; ++i) {
          const std::string n = "+" + std::to_string(i) + "]";
          text += std::string("ld") + (generic ? "" : "." + where) + ".b8 %h0, [%d5" + n + "; st.global.b8 [%d31" + n +
                  ", %h0;\n";
        }
        text += "ret;\n}\n";
      }
      Proof proof(text);
      const uint64_t out = proof.put(std::vector<uint8_t>(before.size()));
      proof.launch({1}, {kThreads}, proof.put(before), proof.put(at), out, proof.put(values));
      std::vector<uint8_t> expected = before;
      for (std::size_t t = 0; t < kThreads; ++t) {
        for (const std::size_t shift : {toParam ? std::size_t{16} : std::size_t{0}, std::size_t{32}}) {
          if (shift == 32 && !toParam && t % 3 != 0) continue;
          for (std::size_t k = 0; k < static_cast<std::size_t>(shape.vec * shape.bytes); ++k) {
            const std::size_t element = k / static_cast<std::size_t>(shape.bytes);
            expected[t * kWindow + at[t] + shift + k] =
                static_cast<uint8_t>(values[4 * t + element] >> (8 * (k % static_cast<std::size_t>(shape.bytes))));
          }
        }
      }
      const std::vector<uint8_t> got = proof.get<uint8_t>(out, before.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        if (got[i] == expected[i]) continue;
        wrong(form, "byte", i, got[i], expected[i]);
        break;
      }
    }
  }
}

}  // namespace

void addMemoryTruths(Truths& truths) {
  for (const char* space : {"", ".global", ".shared", ".local", ".const", ".param"}) {
    for (int vec : {1, 2, 4}) {
      for (const char* type :
           {"b8", "u8", "s8", "b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"}) {
        if (vec * std::atoi(type + 1) > 128) continue;
        const std::string name = std::string(space) + (vec == 1 ? "" : ".v" + std::to_string(vec)) + "." + type;
        truths.own("ld" + name, std::string(space) == ".param" ? loadParam : load);
        if (std::string(space) != ".const") truths.own("st" + name, store);
      }
    }
  }
  addCopyTruths(truths);
  addAddressTruths(truths);
}

}  // namespace warploom::test
