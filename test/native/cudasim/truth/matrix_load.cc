// ldmatrix and movmatrix: eight rows of eight 16-bit elements a matrix; lane 4 r + c holds elements 2 c and 2 c + 1 of
// row r, or of column r where it is transposed.
#include <algorithm>

#include "own.h"

namespace warploom::test {

namespace {

void load(const std::string& form) {
  const int count = form[form.find(".x") + 2] - '0';
  const bool transposed = form.find(".trans") != std::string::npos, generic = form.find(".shared") == std::string::npos;
  std::string list = "{";
  for (int i = 0; i < count; ++i) list += (i == 0 ? "%r" : ", %r") + std::to_string(10 + i);
  std::string text =
      ".visible .entry k$(.param .u64 data, .param .u64 rows, .param .u64 out)\n{\n"
      ".reg .b32 %r<20>; .reg .b64 %d<9>;\n.shared .align 16 .b8 sm[2048];\n"
      "mov.u32 %r0, %tid.x; ld.param.u64 %d0, [data]; ld.param.u64 %d1, [rows]; ld.param.u64 %d2, [out];\n"
      "mul.wide.u32 %d3, %r0, 4; add.u64 %d0, %d0, %d3; add.u64 %d1, %d1, %d3; mov.u64 %d4, sm; add.u64 %d5, %d4, "
      "%d3;\n"
      "ld.global.u32 %r1, [%d1];\n";
  for (int i = 0; i < 16; ++i) {
    const std::string at = "+" + std::to_string(128 * i) + "]";
    text += "ld.global.u32 %r2, [%d0" + at + "; st.shared.u32 [%d5" + at + ", %r2;\n";
  }
  // A row's number times 16 bytes; lanes that give no row have an address outside.
  text += "bar.warp.sync 0xffffffff;\n";
  text += generic ? "mad.wide.u32 %d6, %r1, 16, %d4; cvta.shared.u64 %d6, %d6;\n" + form + " " + list + "}, [%d6];\n"
                  : "mov.u32 %r3, sm; mad.lo.u32 %r3, %r1, 16, %r3;\n" + form + " " + list + "}, [%r3];\n";
  text += "mad.wide.u32 %d2, %r0, 16, %d2;\n";
  for (int i = 0; i < count; ++i) {
    text += "st.global.u32 [%d2+" + std::to_string(4 * i) + "], %r" + std::to_string(10 + i) + ";\n";
  }
  Proof proof(text + "ret;\n}\n");
  Noise noise(61);
  std::vector<uint16_t> data(1024);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint16_t>(i * 61 + 7);
  for (int round = 0; round < 4; ++round) {
    std::vector<uint32_t> rows(32);
    for (std::size_t i = 0; i < 32; ++i) {
      rows[i] = i >= static_cast<std::size_t>(8 * count) ? 100000 : static_cast<uint32_t>(noise() % 128);
      if (round == 0 && rows[i] < 128) rows[i] = static_cast<uint32_t>(i);
    }
    const uint64_t out = proof.put(std::vector<uint32_t>(128));
    proof.launch({1}, {32}, proof.put(data), proof.put(rows), out);
    const std::vector<uint32_t> got = proof.get<uint32_t>(out, 128);
    for (std::size_t lane = 0; lane < 32; ++lane) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        uint32_t wanted = 0;
        for (std::size_t half = 0; half < 2; ++half) {
          const std::size_t first = lane / 4, second = lane % 4 * 2 + half;
          const std::size_t row = transposed ? second : first, column = transposed ? first : second;
          wanted |= static_cast<uint32_t>(data[rows[8 * i + row] * 8 + column]) << (16 * half);
        }
        if (got[4 * lane + i] != wanted) return wrong(form, "the register", 4 * lane + i, got[4 * lane + i], wanted);
      }
    }
  }
}

void move(const std::string& form) {
  Proof proof(
      ".visible .entry k$(.param .u64 in, .param .u64 out)\n{\n.reg .b32 %r<4>; .reg .b64 %d<4>;\n"
      "mov.u32 %r0, %tid.x; ld.param.u64 %d0, [in]; ld.param.u64 %d1, [out]; mad.wide.u32 %d0, %r0, 4, %d0;\n"
      "mad.wide.u32 %d1, %r0, 4, %d1; ld.global.u32 %r1, [%d0]; " +
      form + " %r2, %r1; " + form + " %r1, %r1; st.global.u32 [%d1], %r2; st.global.u32 [%d1+128], %r1;\nret;\n}\n");
  std::vector<uint16_t> matrix(64);
  for (std::size_t i = 0; i < 64; ++i) matrix[i] = static_cast<uint16_t>(i * 997 + 3);
  const uint64_t out = proof.put(std::vector<uint16_t>(128));
  proof.launch({1}, {32}, proof.put(matrix), out);  // lane 4 r + c: elements 8 r + 2 c and the next
  const std::vector<uint16_t> got = proof.get<uint16_t>(out, 128);
  for (std::size_t i = 0; i < 128; ++i) {
    const uint16_t wanted = matrix[i % 8 * 8 + i % 64 / 8];
    if (got[i] != wanted) return wrong(form, "the element", i, got[i], wanted);
  }
}

}  // namespace

void addMatrixLoadTruths(Truths& truths) {
  for (const char* count : {"x1", "x2", "x4"}) {
    for (const char* order : {"", ".trans"}) {
      for (const char* space : {"", ".shared"}) {
        truths.own(std::string("ldmatrix.sync.aligned.m8n8.") + count + order + space + ".b16", load);
      }
    }
  }
  truths.own("movmatrix.sync.aligned.m8n8.trans.b16", move);
}

}  // namespace warploom::test
