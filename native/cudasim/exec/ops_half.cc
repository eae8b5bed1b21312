// Arithmetic of float16 and bfloat16, one or two in a register. Sums and products of two halves are exact enough in
// float for one rounding; fma goes through a double with a sticky last bit.
#include "cudasim/exec/halves.h"
#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

double fmaToOdd(double a, double b, double c) {
  const double product = a * b;  // exact: 22 bits
  const double sum = product + c;
  const double part = sum - product;
  const double lost = (product - (sum - part)) + (c - part);
  if (lost == 0 || lost != lost || std::isinf(sum)) return sum;
  uint64_t bits;
  std::memcpy(&bits, &sum, 8);
  if ((bits & 1) == 0) bits = (lost > 0) == (sum > 0) ? bits | 1 : bits - 1;
  double odd;
  std::memcpy(&odd, &bits, 8);
  return odd;
}

// Of min and max, bits say which: the smaller, NaN wins, xorsign.abs.
enum Op { kAdd, kSub, kMul, kFma, kNeg, kAbs, kEx2, kTanh, kExtreme, kSmaller = 1, kNaN = 2, kXorsign = 4 };

template <class H>
uint16_t flushHalf(uint16_t bits) {
  const uint16_t exponent = std::is_same_v<H, Half> ? 0x7c00 : 0x7f80;
  return (bits & exponent) == 0 ? bits & 0x8000 : bits;
}
inline bool lessOrNegativeZero(float a, float b) { return a < b || (a == b && std::signbit(a)); }

template <class H, int kOp>
uint16_t compute(uint16_t a, uint16_t b, uint16_t c) {
  const float x = toFloat(H{a}), y = toFloat(H{b});
  if constexpr (kOp == kAdd) return fromFloat<H>(x + y).bits;
  if constexpr (kOp == kSub) return fromFloat<H>(x - y).bits;
  if constexpr (kOp == kMul) return fromFloat<H>(x * y).bits;
  if constexpr (kOp == kFma) {
    const double r = fmaToOdd(static_cast<double>(x), static_cast<double>(y), static_cast<double>(toFloat(H{c})));
    return fromFloat<H>(toOdd(r)).bits;
  }
  if constexpr (kOp >= kExtreme) {
    constexpr int kBits = kOp - kExtreme;
    if constexpr ((kBits & kXorsign) != 0) {
      const uint16_t r = compute<H, kOp - kXorsign>(a & 0x7fff, b & 0x7fff, 0);
      return toFloat(H{r}) == toFloat(H{r}) ? r | ((a ^ b) & 0x8000) : r;
    }
    constexpr bool kKeepsNaN = (kBits & kNaN) != 0;
    if (x != x) return kKeepsNaN || y != y ? 0x7fff : b;
    if (y != y) return kKeepsNaN ? 0x7fff : a;
    return lessOrNegativeZero(x, y) == ((kBits & kSmaller) != 0) ? a : b;
  }
  if constexpr (kOp == kNeg) return a ^ 0x8000;
  if constexpr (kOp == kAbs) return a & 0x7fff;
  if constexpr (kOp == kEx2) return fromFloat<H>(std::exp2(x)).bits;
  return fromFloat<H>(std::tanh(x)).bits;
}

// mode: 1 saturate, 2 relu.
template <class H, int kOp, bool kTwo, bool kFlush>
void half(Warp& w, const Instruction& in, uint32_t mask) {
  uint32_t* d = reg<uint32_t>(w, in.d);
  const uint32_t* a = reg<uint32_t>(w, in.a);
  const uint32_t* b = in.b == kNone ? a : reg<uint32_t>(w, in.b);
  const uint32_t* c = in.c == kNone ? a : reg<uint32_t>(w, in.c);
  const auto part = [&](uint32_t x, uint32_t y, uint32_t z) -> uint32_t {
    uint16_t u = static_cast<uint16_t>(x), v = static_cast<uint16_t>(y), t = static_cast<uint16_t>(z);
    if (kFlush) u = flushHalf<H>(u), v = flushHalf<H>(v), t = flushHalf<H>(t);
    uint16_t r = compute<H, kOp>(u, v, t);
    if (kFlush) r = flushHalf<H>(r);
    if (in.mode == 1) r = fromFloat<H>(saturate<true>(toFloat(H{r}))).bits;
    if (in.mode == 2 && (r & 0x8000) != 0 && toFloat(H{r}) <= 0) r = 0;
    return r;
  };
  eachLane(mask, [&](int i) {
    uint32_t r = part(a[i], b[i], c[i]);
    if (kTwo) r |= part(a[i] >> 16, b[i] >> 16, c[i] >> 16) << 16;
    d[i] = r;
  });
}

struct Adder {
  FormTable& table;
  void one(const std::string& name, const char* signature, Handler fn, int mode, int flops) {
    table.addMode(name, signature, fn, mode, Class::half, flops);
  }
  template <class H, bool kTwo>
  void type(const std::string& t) {
    constexpr bool f16 = std::is_same_v<H, Half>;
    const int n = kTwo ? 2 : 1;
    for (const char* rn : {"", ".rn"}) {
      arithmetic<H, kAdd, kTwo>(std::string("add") + rn, t, "D4A4B4", n);
      arithmetic<H, kSub, kTwo>(std::string("sub") + rn, t, "D4A4B4", n);
      arithmetic<H, kMul, kTwo>(std::string("mul") + rn, t, "D4A4B4", n);
    }
    arithmetic<H, kFma, kTwo>("fma.rn", t, "D4A4B4C4", 2 * n);
    one("fma.rn.relu" + t, "D4A4B4C4", &half<H, kFma, kTwo, false>, 2, 2 * n);
    if (f16) one("fma.rn.ftz.relu" + t, "D4A4B4C4", &half<H, kFma, kTwo, true>, 2, 2 * n);
    extremes<H, 0, kTwo>("", t);
    extremes<H, kNaN, kTwo>(".NaN", t);
    extremes<H, kXorsign, kTwo>(".xorsign.abs", t);
    extremes<H, kNaN + kXorsign, kTwo>(".NaN.xorsign.abs", t);
    plain<H, kNeg, kTwo>("neg", "", t, "D4A4");
    plain<H, kAbs, kTwo>("abs", "", t, "D4A4");
    one((f16 ? "ex2.approx" : "ex2.approx.ftz") + t, "D4A4", &half<H, kEx2, kTwo, !f16>, 0, n);
    one("tanh.approx" + t, "D4A4", &half<H, kTanh, kTwo, false>, 0, n);
  }
  template <class H, int kOp, bool kTwo>
  void arithmetic(const std::string& name, const std::string& t, const char* signature, int flops) {
    one(name + t, signature, &half<H, kOp, kTwo, false>, 0, flops);
    if (!std::is_same_v<H, Half>) return;
    one(name + ".sat" + t, signature, &half<H, kOp, kTwo, false>, 1, flops);
    one(name + ".ftz" + t, signature, &half<H, kOp, kTwo, true>, 0, flops);
    one(name + ".ftz.sat" + t, signature, &half<H, kOp, kTwo, true>, 1, flops);
  }
  template <class H, int kBits, bool kTwo>
  void extremes(const std::string& tail, const std::string& t) {
    plain<H, kExtreme + kBits + kSmaller, kTwo>("min", tail, t, "D4A4B4");
    plain<H, kExtreme + kBits, kTwo>("max", tail, t, "D4A4B4");
  }
  template <class H, int kOp, bool kTwo>
  void plain(const std::string& name, const std::string& tail, const std::string& t, const char* signature) {
    one(name + tail + t, signature, &half<H, kOp, kTwo, false>, 0, 0);
    if (std::is_same_v<H, Half>) one(name + ".ftz" + tail + t, signature, &half<H, kOp, kTwo, true>, 0, 0);
  }
};

}  // namespace

void addHalfForms(FormTable& table) {
  Adder add{table};
  add.type<Half, false>(".f16");
  add.type<Half, true>(".f16x2");
  add.type<BFloat, false>(".bf16");
  add.type<BFloat, true>(".bf16x2");
}

}  // namespace warploom::cudasim
