// ldmatrix and mma.sync. Sums run over k in float32 with fma, then add C: the hardware rounds otherwise, so results are
// compared with a tolerance, and the layout is proven by small integers.
#include <cstdlib>

#include "cudasim/exec/halves.h"
#include "cudasim/exec/machine.h"
#include "cudasim/exec/matrix_forms.h"
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
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  for (uint32_t m = 0; m < n; ++m) {
    uint32_t* d = reg<uint32_t>(w, list[m]);
    if (in.mode == 0) {
      for (uint32_t row = 0; row < 8; ++row) std::memcpy(d + 4 * row, rows[8 * m + row], 16);
      continue;
    }
    uint16_t from[8][8];
    for (uint32_t row = 0; row < 8; ++row) std::memcpy(from[row], rows[8 * m + row], 16);
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const uint32_t row = lane % 4 * 2, column = lane / 4;
      d[lane] = from[row][column] | static_cast<uint32_t>(from[row + 1][column]) << 16;
    }
  }
}

// The element types of A and B: how many lie in a register, and their values.
struct OfHalf {
  static constexpr int kPer = 2;
  static float value(uint32_t bits, int k) { return toFloat(Half{static_cast<uint16_t>(bits >> (16 * k))}); }
};
struct OfBFloat {
  static constexpr int kPer = 2;
  static float value(uint32_t bits, int k) { return toFloat(BFloat{static_cast<uint16_t>(bits >> (16 * k))}); }
};
struct OfTf32 {
  static constexpr int kPer = 1;
  // The hardware reads the upper 19 bits only.
  static float value(uint32_t bits, int) { return bitsToFloat(bits & 0xffffe000u); }
};

// D[16][8] = A[16][K] B[K][8] + C. A: registers go row r, row r + 8, then the next part of k. B: parts of k. C: row r,
// r + 8.
template <class T, int K, bool kHalfSum>
void multiply(Warp& w, const Instruction& in, uint32_t mask) {
  if (mask != 0xffffffffu) throw Fault{"sync", 719, __builtin_ctz(~mask), "mma needs all lanes of the warp"};
  constexpr int per = T::kPer, chunk = 4 * per, parts = K / chunk;
  constexpr int countA = 2 * parts, countB = parts, countC = kHalfSum ? 2 : 4;
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  const uint32_t *dList = list, *aList = list + countC, *bList = aList + countA, *cList = bList + countB;
  float a[16][K], bt[K][8], c[16][8];
  for (int r = 0; r < countA; ++r) {
    const uint32_t* s = reg<uint32_t>(w, aList[r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int k = 0; k < per; ++k)
        a[lane / 4 + 8 * (r % 2)][r / 2 * chunk + lane % 4 * per + k] = T::value(s[lane], k);
    }
  }
  for (int r = 0; r < countB; ++r) {
    const uint32_t* s = reg<uint32_t>(w, bList[r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int k = 0; k < per; ++k) bt[r * chunk + lane % 4 * per + k][lane / 4] = T::value(s[lane], k);
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
    float sums[8] = {};
    for (int k = 0; k < K; ++k) {
      for (int column = 0; column < 8; ++column) {
        sums[column] = __builtin_fmaf(a[row][k], bt[k][column], sums[column]);
      }
    }
    for (int column = 0; column < 8; ++column) c[row][column] += sums[column];
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

// Lane by lane the low and the high value of a register.
template <class T>
void widen(const uint32_t* s, float (&low)[kLanes], float (&high)[kLanes]) {
  for (int i = 0; i < kLanes; i += 8) {
    const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(s + i));
    if constexpr (std::is_same_v<T, OfBFloat>) {
      _mm256_store_ps(low + i, _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16)));
      _mm256_store_ps(high + i, _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(-65536))));
    } else {
      const __m256i low16 = _mm256_and_si256(bits, _mm256_set1_epi32(0xffff)), high16 = _mm256_srli_epi32(bits, 16);
      const auto narrow = [](__m256i v) {
        return _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
      };
      _mm256_store_ps(low + i, _mm256_cvtph_ps(narrow(low16)));
      _mm256_store_ps(high + i, _mm256_cvtph_ps(narrow(high16)));
    }
  }
}

// The same as `multiply` with sums of float32 and two values a register, eight columns at a time: every sum runs over k
// in order, so the bits are those of the plain loops.
template <class T, int K>
void multiplyPairs(Warp& w, const Instruction& in, uint32_t mask) {
  if (mask != 0xffffffffu) throw Fault{"sync", 719, __builtin_ctz(~mask), "mma needs all lanes of the warp"};
  constexpr int parts = K / 8;
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  const uint32_t *dList = list, *aList = list + 4, *bList = aList + 2 * parts, *cList = bList + parts;
  alignas(32) float a[2 * parts][2][kLanes];
  for (int r = 0; r < 2 * parts; ++r) widen<T>(reg<uint32_t>(w, aList[r]), a[r][0], a[r][1]);
  __m256 b[K];
  const __m256i column = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  for (int r = 0; r < parts; ++r) {
    alignas(32) float pair[2][kLanes];
    widen<T>(reg<uint32_t>(w, bList[r]), pair[0], pair[1]);
    for (int k = 0; k < 8; ++k) b[8 * r + k] = _mm256_i32gather_ps(&pair[k % 2][k / 2], column, 4);
  }
  constexpr int kRows = 8;  // sums in registers at once
  for (int half = 0; half < 2; ++half) {
    __m256 sums[kRows];
    for (int row = 0; row < kRows; ++row) sums[row] = _mm256_setzero_ps();
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) {
      const float* from = &a[k / 8 * 2 + half][k % 2][k % 8 / 2];
#pragma GCC unroll 8
      for (int row = 0; row < kRows; ++row) {
        sums[row] = _mm256_fmadd_ps(_mm256_broadcast_ss(from + 4 * row), b[k], sums[row]);
      }
    }
    const float *c0 = reg<float>(w, cList[2 * half]), *c1 = reg<float>(w, cList[2 * half + 1]);
    float *d0 = reg<float>(w, dList[2 * half]), *d1 = reg<float>(w, dList[2 * half + 1]);
    // C's even columns lie in one register, the odd ones in the next.
    for (int row = 0; row < kRows; ++row) {
      const __m128 even = _mm_load_ps(c0 + 4 * row), odd = _mm_load_ps(c1 + 4 * row);
      const __m128 left = _mm_add_ps(_mm_unpacklo_ps(even, odd), _mm256_castps256_ps128(sums[row]));
      const __m128 right = _mm_add_ps(_mm_unpackhi_ps(even, odd), _mm256_extractf128_ps(sums[row], 1));
      _mm_store_ps(d0 + 4 * row, _mm_shuffle_ps(left, right, 0x88));
      _mm_store_ps(d1 + 4 * row, _mm_shuffle_ps(left, right, 0xdd));
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
  mma("m16n8k16.row.col.f32.f16.f16.f32", &multiplyPairs<OfHalf, 16>);
  mma("m16n8k16.row.col.f16.f16.f16.f16", &multiply<OfHalf, 16, true>);
  mma("m16n8k16.row.col.f32.bf16.bf16.f32", &multiplyPairs<OfBFloat, 16>);
  mma("m16n8k8.row.col.f32.f16.f16.f32", &multiplyPairs<OfHalf, 8>);
  mma("m16n8k8.row.col.f16.f16.f16.f16", &multiply<OfHalf, 8, true>);
  mma("m16n8k8.row.col.f32.bf16.bf16.f32", &multiplyPairs<OfBFloat, 8>);
  mma("m16n8k8.row.col.f32.tf32.tf32.f32", &multiply<OfTf32, 8, false>);
  mma("m16n8k4.row.col.f32.tf32.tf32.f32", &multiply<OfTf32, 4, false>);
  mma("m8n8k4.row.col.f64.f64.f64.f64", &multiplyDouble, "v8w8w8w8");
  addIntegerMatrixForms(table);
  addWmmaForms(table);
}

}  // namespace warploom::cudasim
