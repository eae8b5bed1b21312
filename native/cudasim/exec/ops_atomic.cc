// atom and red. Lanes go one after another; other threads of the host do the same at once, so the host's atomics are
// used.
#include "cudasim/exec/halves.h"
#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

enum Op { kAdd, kMin, kMax, kAnd, kOr, kXor, kExch, kInc, kDec, kCas };

template <class T>
T apply(int op, T old, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return op == kAdd ? old + b : b;
  } else {
    using U = std::make_unsigned_t<T>;
    switch (op) {
      case kAdd:
        return static_cast<T>(static_cast<U>(old) + static_cast<U>(b));
      case kMin:
        return b < old ? b : old;
      case kMax:
        return b > old ? b : old;
      case kAnd:
        return old & b;
      case kOr:
        return old | b;
      case kXor:
        return old ^ b;
      case kInc:
        return old >= b ? T(0) : old + 1;
      case kDec:
        return old == 0 || old > b ? b : old - 1;
      default:
        return b;
    }
  }
}
// Two halves at once, each rounded by itself.
template <class H>
uint32_t addHalves(uint32_t a, uint32_t b) {
  uint32_t r = 0;
  for (int k = 0; k < 2; ++k) {
    const float sum = toFloat(H{static_cast<uint16_t>(a >> 16 * k)}) + toFloat(H{static_cast<uint16_t>(b >> 16 * k)});
    r |= static_cast<uint32_t>(fromFloat<H>(sum).bits) << 16 * k;
  }
  return r;
}

template <class U, class F>
U exchange(uint8_t* at, F&& next) {
  U* p = reinterpret_cast<U*>(at);
  U old = __atomic_load_n(p, __ATOMIC_RELAXED);
  for (;;) {
    const U fresh = next(old);
    if (__atomic_compare_exchange_n(p, &old, fresh, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) return old;
  }
}

// Addition of float32 in global memory flushes denormals to zero; in shared memory it keeps them.
void atomicFloat(Warp& w, const Instruction& in, uint32_t mask) {
  uint8_t* p[kLanes];
  lanePointers(w, in, mask, 4, Access::atomic, p);
  uint32_t* d = in.d == kNone ? nullptr : reg<uint32_t>(w, in.d);
  const float* b = reg<float>(w, in.b);
  uint32_t olds[kLanes];
  eachLane(mask, [&](int i) {
    const bool shared = static_cast<uint64_t>(p[i] - w.block->shared) < w.block->run->sharedBytes;
    olds[i] = exchange<uint32_t>(p[i], [&](uint32_t old) {
      const float x = bitsToFloat(old);
      return floatToBits(shared ? x + b[i] : flush<true>(flush<true>(x) + flush<true>(b[i])));
    });
  });
  if (d != nullptr) eachLane(mask, [&](int i) { d[i] = olds[i]; });
}
template <class T>
void atomic(Warp& w, const Instruction& in, uint32_t mask) {
  using U = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  uint8_t* p[kLanes];
  lanePointers(w, in, mask, sizeof(T), Access::atomic, p);
  U* d = in.d == kNone ? nullptr : reg<U>(w, in.d);
  const U* b = reg<U>(w, in.b);
  const U* c = in.c == kNone ? nullptr : reg<U>(w, in.c);
  U olds[kLanes];
  eachLane(mask, [&](int i) {
    olds[i] = exchange<U>(p[i], [&](U old) -> U {
      if (in.mode == kCas) return old == b[i] ? c[i] : old;
      T x, y;
      std::memcpy(&x, &old, sizeof(T));
      std::memcpy(&y, &b[i], sizeof(T));
      const T r = apply<T>(in.mode, x, y);
      U fresh;
      std::memcpy(&fresh, &r, sizeof(T));
      return fresh;
    });
  });
  if (d != nullptr) eachLane(mask, [&](int i) { d[i] = olds[i]; });
}
template <class H>
void atomicHalves(Warp& w, const Instruction& in, uint32_t mask) {
  uint8_t* p[kLanes];
  lanePointers(w, in, mask, 4, Access::atomic, p);
  uint32_t* d = in.d == kNone ? nullptr : reg<uint32_t>(w, in.d);
  const uint32_t* b = reg<uint32_t>(w, in.b);
  uint32_t olds[kLanes];
  eachLane(mask,
           [&](int i) { olds[i] = exchange<uint32_t>(p[i], [&](uint32_t old) { return addHalves<H>(old, b[i]); }); });
  if (d != nullptr) eachLane(mask, [&](int i) { d[i] = olds[i]; });
}
// 16 bits: compare-and-swap, and the addition of one half.
template <class H>
void atomicHalf(Warp& w, const Instruction& in, uint32_t mask) {
  uint8_t* p[kLanes];
  lanePointers(w, in, mask, 2, Access::atomic, p);
  uint32_t* d = in.d == kNone ? nullptr : reg<uint32_t>(w, in.d);
  const uint32_t* b = reg<uint32_t>(w, in.b);
  const uint32_t* c = in.c == kNone ? nullptr : reg<uint32_t>(w, in.c);
  uint32_t olds[kLanes];
  eachLane(mask, [&](int i) {
    olds[i] = exchange<uint16_t>(p[i], [&](uint16_t old) -> uint16_t {
      if (in.mode == kCas) return old == static_cast<uint16_t>(b[i]) ? static_cast<uint16_t>(c[i]) : old;
      return fromFloat<H>(toFloat(H{old}) + toFloat(H{static_cast<uint16_t>(b[i])})).bits;
    });
  });
  if (d != nullptr) eachLane(mask, [&](int i) { d[i] = olds[i]; });
}

}  // namespace

void addAtomicForms(FormTable& table) {
  const std::pair<const char*, Space> spaces[] = {
      {"", Space::generic}, {".global", Space::global}, {".shared", Space::shared}};
  for (const auto& space : spaces) {
    const auto one = [&](const std::string& op, const std::string& type, Handler fn, int mode, bool wide) {
      Form form;
      form.fn = fn;
      form.kind = Class::atomic;
      form.space = space.second;
      form.mode = static_cast<uint8_t>(mode);
      form.signature = mode == kCas ? (wide ? "D8MB8C8" : "D4MB4C4") : (wide ? "D8MB8" : "D4MB4");
      table.add(std::string("atom") + space.first + op + type, form);
      if (mode == kCas || mode == kExch) return;
      form.signature = wide ? "MB8" : "MB4";
      table.add(std::string("red") + space.first + op + type, form);
    };
    one(".add", ".u32", &atomic<uint32_t>, kAdd, false);
    one(".add", ".s32", &atomic<int32_t>, kAdd, false);
    one(".add", ".u64", &atomic<uint64_t>, kAdd, true);
    one(".add", ".f32", &atomicFloat, kAdd, false);
    one(".add", ".f64", &atomic<double>, kAdd, true);
    one(".add.noftz", ".f16x2", &atomicHalves<Half>, kAdd, false);
    one(".add.noftz", ".bf16x2", &atomicHalves<BFloat>, kAdd, false);
    one(".add.noftz", ".f16", &atomicHalf<Half>, kAdd, false);
    one(".add.noftz", ".bf16", &atomicHalf<BFloat>, kAdd, false);
    one(".cas", ".b16", &atomicHalf<Half>, kCas, false);
    const char* order[] = {".min", ".max"};
    for (int i = 0; i < 2; ++i) {
      one(order[i], ".u32", &atomic<uint32_t>, kMin + i, false);
      one(order[i], ".s32", &atomic<int32_t>, kMin + i, false);
      one(order[i], ".u64", &atomic<uint64_t>, kMin + i, true);
      one(order[i], ".s64", &atomic<int64_t>, kMin + i, true);
    }
    const char* bits[] = {".and", ".or", ".xor", ".exch"};
    for (int i = 0; i < 4; ++i) {
      one(bits[i], ".b32", &atomic<uint32_t>, kAnd + i, false);
      one(bits[i], ".b64", &atomic<uint64_t>, kAnd + i, true);
    }
    one(".inc", ".u32", &atomic<uint32_t>, kInc, false);
    one(".dec", ".u32", &atomic<uint32_t>, kDec, false);
    one(".cas", ".b32", &atomic<uint32_t>, kCas, false);
    one(".cas", ".b64", &atomic<uint64_t>, kCas, true);
  }
}

}  // namespace warploom::cudasim
