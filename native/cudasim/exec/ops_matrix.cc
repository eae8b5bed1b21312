// ldmatrix and mma.sync. Sums run over k in float32 with fma, then add C: the hardware rounds otherwise, so results are
// compared with a tolerance, and the layout is proven by small integers.
#include <cstdlib>

#include "cudasim/exec/halves.h"
#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

// Lane 4 r + c holds columns 2 c and 2 c + 1 of row r; lanes 8 m to 8 m + 7 give the addresses of matrix m's rows.
void loadMatrix(Warp& w, const Instruction& in, uint32_t mask) {
  if (mask != 0xffffffffu) throw Fault{"sync", 719, __builtin_ctz(~mask), "ldmatrix needs all lanes of the warp"};
  const uint32_t n = in.count;
  const uint32_t used = n == 4 ? 0xffffffffu : (1u << (8 * n)) - 1;
  uint8_t* rows[kLanes];
  lanePointers(w, in, used, 16, Access::load, rows);
  for (uint32_t m = 0; m < n; ++m) {
    uint32_t result[kLanes];
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      uint16_t pair[2];
      const uint32_t row = lane / 4, column = lane % 4 * 2;
      for (uint32_t k = 0; k < 2; ++k) {
        const uint32_t r = in.mode == 1 ? column + k : row, c = in.mode == 1 ? row : column + k;
        std::memcpy(&pair[k], rows[8 * m + r] + 2 * c, 2);
      }
      std::memcpy(&result[lane], pair, 4);
    }
    std::memcpy(reg<uint32_t>(w, w.block->run->program.lists[in.list + m]), result, sizeof(result));
  }
}

// The element types of A and B: how many lie in a register, and their values.
struct OfHalf {
  using Sum = float;
  static constexpr int kPer = 2;
  static float value(uint32_t bits, int k) { return toFloat(Half{static_cast<uint16_t>(bits >> (16 * k))}); }
};
struct OfBFloat {
  using Sum = float;
  static constexpr int kPer = 2;
  static float value(uint32_t bits, int k) { return toFloat(BFloat{static_cast<uint16_t>(bits >> (16 * k))}); }
};
struct OfTf32 {
  using Sum = float;
  static constexpr int kPer = 1;
  // The hardware reads the upper 19 bits only.
  static float value(uint32_t bits, int) { return bitsToFloat(bits & 0xffffe000u); }
};
template <bool kSigned>
struct OfByte {
  using Sum = int32_t;
  static constexpr int kPer = 4;
  static int32_t value(uint32_t bits, int k) {
    return kSigned ? static_cast<int8_t>(bits >> (8 * k)) : static_cast<int32_t>(bits >> (8 * k) & 0xff);
  }
};

// D[16][8] = A[16][K] B[K][8] + C. A: registers go row r, row r + 8, then the next part of k. B: parts of k. C: row r,
// r + 8.
template <class A, class B, int K, bool kHalfSum, bool kSaturate>
void multiply(Warp& w, const Instruction& in, uint32_t mask) {
  if (mask != 0xffffffffu) throw Fault{"sync", 719, __builtin_ctz(~mask), "mma needs all lanes of the warp"};
  using Sum = typename A::Sum;
  constexpr int per = A::kPer, chunk = 4 * per, parts = K / chunk;
  constexpr int countA = 2 * parts, countB = parts, countC = kHalfSum ? 2 : 4;
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  const uint32_t *dList = list, *aList = list + countC, *bList = aList + countA, *cList = bList + countB;
  Sum a[16][K], bt[K][8], c[16][8];
  for (int r = 0; r < countA; ++r) {
    const uint32_t* s = reg<uint32_t>(w, aList[r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int k = 0; k < per; ++k)
        a[lane / 4 + 8 * (r % 2)][r / 2 * chunk + lane % 4 * per + k] = A::value(s[lane], k);
    }
  }
  for (int r = 0; r < countB; ++r) {
    const uint32_t* s = reg<uint32_t>(w, bList[r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int k = 0; k < per; ++k) bt[r * chunk + lane % 4 * per + k][lane / 4] = B::value(s[lane], k);
    }
  }
  for (int r = 0; r < countC; ++r) {
    const uint32_t* s = reg<uint32_t>(w, cList[r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      if constexpr (kHalfSum) {
        for (int k = 0; k < 2; ++k) c[lane / 4 + 8 * r][lane % 4 * 2 + k] = OfHalf::value(s[lane], k);
      } else {
        std::memcpy(&c[lane / 4 + 8 * (r / 2)][lane % 4 * 2 + r % 2], &s[lane], 4);
      }
    }
  }
  for (int row = 0; row < 16; ++row) {
    if constexpr (std::is_same_v<Sum, float>) {
      float sums[8] = {};
      for (int k = 0; k < K; ++k) {
        for (int column = 0; column < 8; ++column) {
          sums[column] = __builtin_fmaf(a[row][k], bt[k][column], sums[column]);
        }
      }
      for (int column = 0; column < 8; ++column) c[row][column] += sums[column];
    } else {
      for (int column = 0; column < 8; ++column) {
        int64_t sum = 0;
        for (int k = 0; k < K; ++k) sum += static_cast<int64_t>(a[row][k]) * bt[k][column];
        const int64_t all = sum + c[row][column];
        c[row][column] = !kSaturate        ? static_cast<int32_t>(all)
                         : all > INT32_MAX ? INT32_MAX
                         : all < INT32_MIN ? INT32_MIN
                                           : static_cast<int32_t>(all);
      }
    }
  }
  for (int r = 0; r < countC; ++r) {
    uint32_t* d = reg<uint32_t>(w, dList[r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      if constexpr (kHalfSum) {
        const float* from = &c[lane / 4 + 8 * r][lane % 4 * 2];
        d[lane] = static_cast<uint32_t>(toHalf(from[1]).bits) << 16 | toHalf(from[0]).bits;
      } else {
        std::memcpy(&d[lane], &c[lane / 4 + 8 * (r / 2)][lane % 4 * 2 + r % 2], 4);
      }
    }
  }
}

// D[8][8] = A[8][4] B[4][8] + C in float64.
void multiplyDouble(Warp& w, const Instruction& in, uint32_t mask) {
  if (mask != 0xffffffffu) throw Fault{"sync", 719, __builtin_ctz(~mask), "mma needs all lanes of the warp"};
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  const double *a = reg<double>(w, list[2]), *b = reg<double>(w, list[3]);
  double result[kLanes][2];
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int k = 0; k < 2; ++k) {
      double sum = reg<double>(w, list[4 + k])[lane];
      for (int i = 0; i < 4; ++i) sum = __builtin_fma(a[lane / 4 * 4 + i], b[(lane % 4 * 2 + k) * 4 + i], sum);
      result[lane][k] = sum;
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int k = 0; k < 2; ++k) reg<double>(w, list[k])[lane] = result[lane][k];
  }
}

}  // namespace

void addMatrixForms(FormTable& table) {
  for (int n : {1, 2, 4}) {
    for (int trans = 0; trans < 2; ++trans) {
      Form form;
      form.fn = &loadMatrix;
      form.signature = "V4M";
      form.flow = Flow::warpSync;
      form.kind = Class::memory;
      form.vec = static_cast<uint8_t>(n);
      form.mode = static_cast<uint8_t>(trans);
      const std::string name = "ldmatrix.sync.aligned.m8n8.x" + std::to_string(n) + (trans != 0 ? ".trans" : "");
      form.space = Space::shared;
      table.add(name + ".shared.b16", form);
      form.space = Space::generic;
      table.add(name + ".b16", form);
    }
  }
  const auto mma = [&table](const std::string& name, Handler fn, const char* signature = "v4w4w4w4") {
    Form form;
    form.fn = fn;
    form.signature = signature;
    form.flow = Flow::warpSync;
    form.kind = Class::mma;
    const int k = std::atoi(name.c_str() + name.find('k', 3) + 1);
    form.work = static_cast<uint32_t>(2 * 8 * (name[1] == '8' ? 8 : 16) * k);
    table.add("mma.sync.aligned." + name, form);
  };
  mma("m16n8k16.row.col.f32.f16.f16.f32", &multiply<OfHalf, OfHalf, 16, false, false>);
  mma("m16n8k16.row.col.f16.f16.f16.f16", &multiply<OfHalf, OfHalf, 16, true, false>);
  mma("m16n8k16.row.col.f32.bf16.bf16.f32", &multiply<OfBFloat, OfBFloat, 16, false, false>);
  mma("m16n8k8.row.col.f32.f16.f16.f32", &multiply<OfHalf, OfHalf, 8, false, false>);
  mma("m16n8k8.row.col.f16.f16.f16.f16", &multiply<OfHalf, OfHalf, 8, true, false>);
  mma("m16n8k8.row.col.f32.bf16.bf16.f32", &multiply<OfBFloat, OfBFloat, 8, false, false>);
  mma("m16n8k8.row.col.f32.tf32.tf32.f32", &multiply<OfTf32, OfTf32, 8, false, false>);
  mma("m16n8k4.row.col.f32.tf32.tf32.f32", &multiply<OfTf32, OfTf32, 4, false, false>);
  mma("m16n8k16.row.col.s32.s8.s8.s32", &multiply<OfByte<true>, OfByte<true>, 16, false, false>);
  mma("m16n8k16.row.col.s32.u8.u8.s32", &multiply<OfByte<false>, OfByte<false>, 16, false, false>);
  mma("m16n8k32.row.col.s32.s8.s8.s32", &multiply<OfByte<true>, OfByte<true>, 32, false, false>);
  mma("m16n8k32.row.col.s32.u8.u8.s32", &multiply<OfByte<false>, OfByte<false>, 32, false, false>);
  mma("m16n8k32.row.col.s32.u8.s8.s32", &multiply<OfByte<false>, OfByte<true>, 32, false, false>);
  mma("m16n8k32.row.col.s32.s8.u8.s32", &multiply<OfByte<true>, OfByte<false>, 32, false, false>);
  mma("m16n8k32.row.col.satfinite.s32.s8.s8.s32", &multiply<OfByte<true>, OfByte<true>, 32, false, true>);
  mma("m16n8k16.row.col.satfinite.s32.s8.s8.s32", &multiply<OfByte<true>, OfByte<true>, 16, false, true>);
  mma("m8n8k4.row.col.f64.f64.f64.f64", &multiplyDouble, "v8w8w8w8");
}

}  // namespace warploom::cudasim
