// mma.sync of integers of 8 and 4 bits and of single bits, and movmatrix.
#include <cstdlib>

#include "cudasim/exec/machine.h"
#include "cudasim/exec/matrix_forms.h"

namespace warploom::cudasim {

namespace {

enum Mode : uint8_t { kSignedA = 1, kSignedB = 2, kSaturate = 4, kAnd = 8 };

// Element i of a register.
template <int kBits>
int32_t element(uint32_t word, int i, bool isSigned) {
  const uint32_t bits = word >> (kBits * i) & ((1u << kBits) - 1);
  if (isSigned) return static_cast<int32_t>(bits << (32 - kBits)) >> (32 - kBits);
  return static_cast<int32_t>(bits);
}
// The product of two registers of elements.
template <int kBits>
int64_t product(uint32_t a, uint32_t b, uint8_t mode) {
  if constexpr (kBits == 1) {
    return __builtin_popcount((mode & kAnd) != 0 ? a & b : a ^ b);
  } else {
    int64_t sum = 0;
    for (int i = 0; i < 32 / kBits; ++i) {
      sum += static_cast<int64_t>(element<kBits>(a, i, (mode & kSignedA) != 0)) *
             element<kBits>(b, i, (mode & kSignedB) != 0);
    }
    return sum;
  }
}

// D[M][8] = A[M][K] B[K][8] + C. A lane's register holds neighbours along k, so the product runs register by register:
// part p of row r of A lies with lane 4 (r % 8) + p % 4, in register p / 4 * (M / 8) + r / 8; that of column n of B
// with lane 4 n + p % 4, in register p / 4.
template <int kBits, int M, int K>
void multiplyIntegers(Warp& w, const Instruction& in, uint32_t mask) {
  if (mask != 0xffffffffu) throw Fault{"sync", 719, __builtin_ctz(~mask), "mma needs all lanes of the warp"};
  constexpr int tiles = M / 8, parts = K * kBits / 32, countA = parts / 4 * tiles, countB = parts / 4;
  constexpr int countC = 2 * tiles;
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  const uint32_t *aList = list + countC, *bList = aList + countA, *cList = bList + countB;
  int32_t d[countC][kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < countC; ++i) {
      const int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
      int64_t sum = reg<int32_t>(w, cList[i])[lane];
      for (int p = 0; p < parts; ++p) {
        const uint32_t a = reg<uint32_t>(w, aList[p / 4 * tiles + row / 8])[row % 8 * 4 + p % 4];
        sum += product<kBits>(a, reg<uint32_t>(w, bList[p / 4])[column * 4 + p % 4], in.mode);
      }
      if ((in.mode & kSaturate) != 0) sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
      d[i][lane] = static_cast<int32_t>(sum);
    }
  }
  for (int i = 0; i < countC; ++i) std::memcpy(reg<int32_t>(w, list[i]), d[i], sizeof(d[i]));
}

// A matrix of 8 x 8 elements of 16 bits, transposed: lane 4 r + c holds elements 2 c and 2 c + 1 of row r.
void moveMatrix(Warp& w, const Instruction& in, uint32_t mask) {
  if (mask != 0xffffffffu) throw Fault{"sync", 719, __builtin_ctz(~mask), "movmatrix needs all lanes of the warp"};
  uint16_t from[8][8], to[8][8];
  std::memcpy(from, reg<uint32_t>(w, in.a), sizeof(from));
  for (int row = 0; row < 8; ++row) {
    for (int column = 0; column < 8; ++column) to[column][row] = from[row][column];
  }
  std::memcpy(reg<uint32_t>(w, in.d), to, sizeof(to));
}

}  // namespace

void addIntegerMatrixForms(FormTable& table) {
  const auto mma = [&table](const std::string& shape, const std::string& tail, Handler fn, int mode) {
    Form form;
    form.fn = fn;
    form.signature = "v4w4w4w4";
    form.flow = Flow::warpSync;
    form.kind = Class::mma;
    form.mode = static_cast<uint8_t>(mode);
    const int m = shape[1] == '8' ? 8 : 16, k = std::atoi(shape.c_str() + shape.find('k') + 1);
    form.work = static_cast<uint32_t>(2 * m * 8 * k);
    table.add("mma.sync.aligned." + shape + ".row.col." + tail, form);
  };
  const auto integers = [&](const std::string& shape, const std::string& bits, Handler fn) {
    for (int mode = 0; mode < 8; ++mode) {
      const std::string a = (mode & kSignedA) != 0 ? "s" : "u", b = (mode & kSignedB) != 0 ? "s" : "u";
      mma(shape, ((mode & kSaturate) != 0 ? "satfinite.s32." : "s32.") + a + bits + "." + b + bits + ".s32", fn, mode);
    }
  };
  integers("m8n8k16", "8", &multiplyIntegers<8, 8, 16>);
  integers("m16n8k16", "8", &multiplyIntegers<8, 16, 16>);
  integers("m16n8k32", "8", &multiplyIntegers<8, 16, 32>);
  integers("m8n8k32", "4", &multiplyIntegers<4, 8, 32>);
  integers("m16n8k32", "4", &multiplyIntegers<4, 16, 32>);
  integers("m16n8k64", "4", &multiplyIntegers<4, 16, 64>);
  for (int mode : {0, int{kAnd}}) {
    const std::string tail = mode == kAnd ? "s32.b1.b1.s32.and.popc" : "s32.b1.b1.s32.xor.popc";
    mma("m8n8k128", tail, &multiplyIntegers<1, 8, 128>, mode);
    mma("m16n8k128", tail, &multiplyIntegers<1, 16, 128>, mode);
    mma("m16n8k256", tail, &multiplyIntegers<1, 16, 256>, mode);
  }
  Form form;
  form.fn = &moveMatrix;
  form.signature = "D4A4";
  form.flow = Flow::warpSync;
  form.kind = Class::move;
  table.add("movmatrix.sync.aligned.m8n8.trans.b16", form);
}

}  // namespace warploom::cudasim
