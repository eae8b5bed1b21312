// Pooling by windows of 2 x 2 that touch, float32, one pass. Included by pool.cc, behind simd.h.
//
// A half of a vector of outputs needs one vector from each of two rows of x. Two halves make a vector: both of one row
// of outputs, or of two rows that follow each other, so narrow planes leave few lanes empty. Outputs of following rows
// and planes lie side by side.

namespace {

struct Halving {
  int64_t h, w, outH, outW;
};

constexpr int kHalfLanes = kFloatLanes / 2;
constexpr auto kLaneNumbers = std::make_integer_sequence<int, kFloatLanes>();

// The halves of vectors that make up `planes` planes, in order: half() moves on.
struct HalfWalk {
  static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
  const Halving& p;
  int64_t left;  // outputs
  int64_t row = 0, col = 0;
  int64_t x = 0;  // where the window of (row, col) begins, from the first plane
  struct Half {
    int64_t x;
    int n;  // outputs; 0 behind the last
  };
  Half half() {
    const int n = static_cast<int>(least(least(kHalfLanes, p.outW - col), left));
    const Half result = {x, n};
    left -= n;
    col += n;
    x += 2 * n;
    if (col == p.outW) {
      x += 2 * p.w - 2 * col;
      col = 0;
      if (++row == p.outH) {
        x += (p.h - 2 * p.outH) * p.w;
        row = 0;
      }
    }
    return result;
  }
};

// Permutations of vectors: lane I of the result is lane `at(I)` of a, then b.
template <int ODD, class V, int... I>
WL_INLINE V everySecondLane(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (2 * I + ODD)...);
}
template <int ODD>
WL_INLINE vfloat everySecond(vfloat a, vfloat b) {
  return everySecondLane<ODD>(a, b, kLaneNumbers);
}
// a and b in turn, from the lower or the upper halves.
template <int UPPER, class V, int... I>
WL_INLINE V inTurnLanes(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (I / 2 + UPPER * kHalfLanes + I % 2 * kFloatLanes)...);
}
template <int UPPER>
WL_INLINE vfloat inTurn(vfloat a, vfloat b) {
  return inTurnLanes<UPPER>(a, b, kLaneNumbers);
}
// The halves of one vector exchanged.
template <class V, int... I>
WL_INLINE V turnHalves(V v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, ((I + kHalfLanes) % kFloatLanes)...);
}
// The lower halves of a and b.
template <class V, int... I>
WL_INLINE V joinHalves(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (I < kHalfLanes ? I : kHalfLanes + I)...);
}

// The windows' elements of n outputs in one row of x.
WL_INLINE vfloat loadHalf(const float* x, int n) { return n == kHalfLanes ? vload(x) : vloadPartial<float>(x, 2 * n); }
WL_INLINE void storeHalf(float* x, vfloat v, int n) {
  if (n == kHalfLanes) {
    vstore(x, v);
  } else {
    vstorePartial<float>(x, v, 2 * n);
  }
}

using HalvingTaps = Vector<float>::bytes;

// Writes n taps; as a whole vector where `room` lets it, for what lies behind is written later.
WL_INLINE void storeTaps(uint8_t* to, HalvingTaps v, int n, int64_t room) {
  if (room >= kFloatLanes) {
    std::memcpy(to, &v, sizeof(v));
  } else {
    std::memcpy(to, &v, static_cast<size_t>(n));
  }
}
WL_INLINE vint32 loadTaps(const uint8_t* from, int n, int64_t room) {
  HalvingTaps v = {};
  if (room >= kFloatLanes) {
    std::memcpy(&v, from, sizeof(v));
  } else {
    std::memcpy(&v, from, static_cast<size_t>(n));
  }
  return __builtin_convertvector(v, vint32);
}

template <bool RELU>
void halveRows(const Halving& p, const float* x, int64_t planes, float* y, uint8_t* taps) {
  HalfWalk walk = {p, planes * p.outH * p.outW};
  int64_t room = walk.left;  // outputs from y on
  while (room > 0) {
    const HalfWalk::Half a = walk.half(), b = walk.half();
    const vfloat a0 = loadHalf(x + a.x, a.n), a1 = loadHalf(x + a.x + p.w, a.n);
    const vfloat b0 = loadHalf(x + b.x, b.n), b1 = loadHalf(x + b.x + p.w, b.n);
    vfloat best = everySecond<0>(a0, b0);
    vint32 tap = {};
    const vfloat others[] = {everySecond<1>(a0, b0), everySecond<0>(a1, b1), everySecond<1>(a1, b1)};
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      // As in poolTap. Two selections instead of one by a joined mask: masks of AVX-512 live in registers of their own.
      const vfloat v = others[i];
      const vint32 here = vset<int32_t>(i + 1);
      tap = v > best ? here : (v != v ? here : tap);
      best = v > best ? v : (v != v ? v : best);
    }
    if (RELU) {
      tap = best <= 0.0f ? vset<int32_t>(4) : tap;
      best = best <= 0.0f ? vfloat{} : best;
    }
    const HalvingTaps bytes = __builtin_convertvector(tap, HalvingTaps);
    const int n = a.n + b.n;
    if (a.n == kHalfLanes) {
      vstorePartial<float>(y, best, n);
      if (taps) storeTaps(taps, bytes, n, room);
    } else {
      vstorePartial<float>(y, best, a.n);
      vstorePartial<float>(y + a.n, turnHalves(best, kLaneNumbers), b.n);
      if (taps) {
        storeTaps(taps, bytes, a.n, room);
        storeTaps(taps + a.n, turnHalves(bytes, kLaneNumbers), b.n, room - a.n);
      }
    }
    y += n;
    room -= n;
    if (taps) taps += n;
  }
}

void halve(const Halving& p, const float* x, int64_t planes, float* y, uint8_t* taps, bool relu) {
  relu ? halveRows<true>(p, x, planes, y, taps) : halveRows<false>(p, x, planes, y, taps);
}

void halveBackward(const Halving& p, const float* g, const uint8_t* taps, int64_t planes, float* dx) {
  // What no window holds: the last column of an odd width, the last row of an odd height.
  if (p.w > 2 * p.outW) {
    for (int64_t i = p.w - 1; i < planes * p.h * p.w; i += p.w) dx[i] = 0.0f;
  }
  if (p.h > 2 * p.outH) {
    for (int64_t i = (p.h - 1) * p.w; i < planes * p.h * p.w; i += p.h * p.w) {
      for (int64_t j = 0; j < p.w; ++j) dx[i + j] = 0.0f;
    }
  }
  HalfWalk walk = {p, planes * p.outH * p.outW};
  int64_t room = walk.left;
  while (room > 0) {
    const HalfWalk::Half a = walk.half(), b = walk.half();
    const int n = a.n + b.n;
    vfloat gs;
    vint32 tap;
    if (a.n == kHalfLanes) {
      gs = vloadPartial<float>(g, n);
      tap = loadTaps(taps, n, room);
    } else {
      gs = joinHalves(vloadPartial<float>(g, a.n), vloadPartial<float>(g + a.n, b.n), kLaneNumbers);
      tap = joinHalves(loadTaps(taps, a.n, room), loadTaps(taps + a.n, b.n, room - a.n), kLaneNumbers);
    }
#pragma GCC unroll 2
    for (int row = 0; row < 2; ++row) {
      const vfloat even = tap == 2 * row ? gs : vfloat{};
      const vfloat odd = tap == 2 * row + 1 ? gs : vfloat{};
      storeHalf(dx + a.x + row * p.w, inTurn<0>(even, odd), a.n);
      storeHalf(dx + b.x + row * p.w, inTurn<1>(even, odd), b.n);
    }
    g += n;
    taps += n;
    room -= n;
  }
}

}  // namespace
