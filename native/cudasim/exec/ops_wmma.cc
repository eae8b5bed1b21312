// wmma.load, wmma.mma, wmma.store (nvcuda::wmma). Which lane holds which element is not specified; here every fragment
// is laid out as those of mma.sync: tiles of eight rows (columns of B), neighbours along k in one register.
#include <algorithm>

#include "cudasim/exec/halves.h"
#include "cudasim/exec/machine.h"
#include "cudasim/exec/matrix_forms.h"

namespace warploom::cudasim {

namespace {

// Elements: what lies in memory and registers, and the numbers that sums are made of.
template <class W, class V>
struct Element {
  using Word = W;
  using Value = V;
};
struct HalfElement : Element<uint16_t, float> {
  static float decode(uint16_t word) { return toFloat(Half{word}); }
  static uint16_t encode(float value) { return toHalf(value).bits; }
};
struct BFloatElement : Element<uint16_t, float> {
  static float decode(uint16_t word) { return toFloat(BFloat{word}); }
};
struct Tf32Element : Element<uint32_t, float> {
  // The hardware reads the upper 19 bits only.
  static float decode(uint32_t word) { return bitsToFloat(word & 0xffffe000u); }
};
struct FloatElement : Element<uint32_t, float> {
  static float decode(uint32_t word) { return bitsToFloat(word); }
  static uint32_t encode(float value) { return floatToBits(value); }
};
struct DoubleElement : Element<double, double> {
  static double decode(double word) { return word; }
  static double encode(double value) { return value; }
};
template <class T>
struct IntegerElement : Element<T, int64_t> {
  static int64_t decode(T word) { return word; }
  static T encode(int64_t value) { return static_cast<T>(value); }
};

enum Role { kA, kB, kC };

template <class E, Role R, int M, int N, int K>
struct Fragment {
  using Type = E;
  using Word = typename E::Word;
  static constexpr int kPer = sizeof(Word) < 4 ? 4 / sizeof(Word) : 1;  // elements of a register
  static constexpr int kRows = R == kB ? K : M, kColumns = R == kA ? K : N;
  static constexpr int kUsed = kRows * kColumns / kLanes / kPer;
  // Fragments of float16 have eight registers, whatever the shape: the others repeat the used ones.
  static constexpr int kRegisters = std::is_same_v<E, HalfElement> && R != kC ? 8 : kUsed;

  static int row(int lane, int r, int k) {
    if (R == kC) return lane / 4 + 8 * ((r * kPer + k) / 2 % (M / 8));
    return R == kA ? outer(lane, r) : inner(lane, r, k);
  }
  static int column(int lane, int r, int k) {
    if (R == kC) return lane % 4 * 2 + (r * kPer + k) % 2 + 8 * ((r * kPer + k) / 2 / (M / 8));
    return R == kA ? inner(lane, r, k) : outer(lane, r);
  }
  static Word& at(Warp& w, uint32_t offset, int lane, int k) { return reg<Word>(w, offset)[lane * kPer + k]; }

  template <class F>
  static void each(F f) {
    for (int r = 0; r < kUsed; ++r) {
      for (int k = 0; k < kPer; ++k) f(r, k);
    }
  }

 private:
  static constexpr int kTiles = (R == kA ? M : N) / 8;
  static int outer(int lane, int r) { return lane / 4 + 8 * (r % kTiles); }
  static int inner(int lane, int r, int k) { return r / kTiles * 4 * kPer + lane % 4 * kPer + k; }
};

void needAllLanes(uint32_t mask) {
  if (mask != 0xffffffffu) throw Fault{"sync", 719, __builtin_ctz(~mask), "wmma needs all lanes of the warp"};
}

// Calls f(register, element, pointers of the lanes) for all elements of a fragment in memory. mode 1: by columns.
template <class F, class Visit>
void eachInMemory(Warp& w, const Instruction& in, Access access, Visit visit) {
  Instruction one = in;
  one.imm = 0;
  one.a = 0;
  one.addressWide = true;
  uint64_t base[kLanes], stride[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    base[lane] = static_cast<uint64_t>(in.imm) +
                 (in.addressWide ? reg<uint64_t>(w, in.a)[lane] : uint64_t{reg<uint32_t>(w, in.a)[lane]});
    stride[lane] = in.b != kNone  ? reg<uint32_t>(w, in.b)[lane]
                   : in.mode == 1 ? static_cast<uint64_t>(F::kRows)
                                  : static_cast<uint64_t>(F::kColumns);
  }
  F::each([&](int r, int k) {
    alignas(64) uint64_t addresses[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      const auto row = static_cast<uint64_t>(F::row(lane, r, k)), column = static_cast<uint64_t>(F::column(lane, r, k));
      const uint64_t index = in.mode == 1 ? column * stride[lane] + row : row * stride[lane] + column;
      addresses[lane] = base[lane] + index * sizeof(typename F::Word);
    }
    // The addresses stand in no register of the program: for the check they are the whole register file.
    uint8_t* pointers[kLanes];
    uint8_t* const registers = w.regs;
    w.standsFor = &in;
    w.regs = reinterpret_cast<uint8_t*>(addresses);
    try {
      lanePointers(w, one, 0xffffffffu, sizeof(typename F::Word), access, pointers);
    } catch (...) {
      w.regs = registers;
      throw;
    }
    w.regs = registers;
    w.standsFor = nullptr;
    visit(r, k, pointers);
  });
}

template <class F>
void loadFragment(Warp& w, const Instruction& in, uint32_t mask) {
  needAllLanes(mask);
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  typename F::Word words[F::kUsed][kLanes][F::kPer];
  eachInMemory<F>(w, in, Access::load, [&](int r, int k, uint8_t* const(&from)[kLanes]) {
    for (int lane = 0; lane < kLanes; ++lane) std::memcpy(&words[r][lane][k], from[lane], sizeof(typename F::Word));
  });
  for (int r = 0; r < F::kRegisters; ++r) std::memcpy(w.regs + list[r], words[r % F::kUsed], sizeof(words[0]));
}
template <class F>
void storeFragment(Warp& w, const Instruction& in, uint32_t mask) {
  needAllLanes(mask);
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  eachInMemory<F>(w, in, Access::store, [&](int r, int k, uint8_t* const(&to)[kLanes]) {
    for (int lane = 0; lane < kLanes; ++lane)
      std::memcpy(to[lane], &F::at(w, list[r], lane, k), sizeof(typename F::Word));
  });
}

// The matrix of a fragment.
template <class F>
void gather(Warp& w, const uint32_t* list, typename F::Type::Value (&matrix)[F::kRows][F::kColumns]) {
  F::each([&](int r, int k) {
    for (int lane = 0; lane < kLanes; ++lane)
      matrix[F::row(lane, r, k)][F::column(lane, r, k)] = F::Type::decode(F::at(w, list[r], lane, k));
  });
}

// mode 1: results beyond the limits of int32 become the limits.
template <class EA, class EB, class EC, class ED, int M, int N, int K>
void multiplyFragments(Warp& w, const Instruction& in, uint32_t mask) {
  needAllLanes(mask);
  using A = Fragment<EA, kA, M, N, K>;
  using B = Fragment<EB, kB, M, N, K>;
  using C = Fragment<EC, kC, M, N, K>;
  using D = Fragment<ED, kC, M, N, K>;
  using Value = typename EC::Value;
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  typename EA::Value a[M][K], b[K][N];
  Value c[M][N];
  gather<A>(w, list + D::kRegisters, a);
  gather<B>(w, list + D::kRegisters + A::kRegisters, b);
  gather<C>(w, list + D::kRegisters + A::kRegisters + B::kRegisters, c);
  for (int row = 0; row < M; ++row) {
    for (int column = 0; column < N; ++column) {
      Value& all = c[row][column];
      if constexpr (std::is_same_v<Value, int64_t>) {
        for (int k = 0; k < K; ++k) all += a[row][k] * b[k][column];
        if (in.mode == 1) all = std::min(std::max(all, int64_t{INT32_MIN}), int64_t{INT32_MAX});
      } else if constexpr (std::is_same_v<Value, double>) {
        for (int k = 0; k < K; ++k) all = __builtin_fma(a[row][k], b[k][column], all);
      } else {
        float sum = 0;
        for (int k = 0; k < K; ++k) sum = __builtin_fmaf(a[row][k], b[k][column], sum);
        all += sum;
      }
    }
  }
  D::each([&](int r, int k) {
    for (int lane = 0; lane < kLanes; ++lane)
      D::at(w, list[r], lane, k) = ED::encode(c[D::row(lane, r, k)][D::column(lane, r, k)]);
  });
}

const char* const kOrders[] = {"row", "col"};

class Adder {
 public:
  explicit Adder(FormTable& table) : table_(table) {}

  template <class F>
  void load(const std::string& role, const std::string& shape, const std::string& type) {
    Form form = moving<F>(&loadFragment<F>, sizeof(typename F::Word) == 8 ? "V8M?B4" : "V4M?B4");
    add(form, "wmma.load." + role, shape, type);
  }
  template <class F>
  void store(const std::string& shape, const std::string& type) {
    Form form = moving<F>(&storeFragment<F>, sizeof(typename F::Word) == 8 ? "MW8?B4" : "MW4?B4");
    add(form, "wmma.store.d", shape, type);
  }
  template <class E, int M, int N, int K>
  void sums(const std::string& shape, const std::string& type) {
    load<Fragment<E, kC, M, N, K>>("c", shape, type);
    store<Fragment<E, kC, M, N, K>>(shape, type);
  }
  template <class E, int M, int N, int K>
  void factors(const std::string& shape, const std::string& type) {
    load<Fragment<E, kA, M, N, K>>("a", shape, type);
    load<Fragment<E, kB, M, N, K>>("b", shape, type);
  }
  template <class A, class B, class C, class D, int M, int N, int K>
  void multiply(const std::string& shape, const std::string& tail, int mode = 0) {
    Form form;
    form.fn = &multiplyFragments<A, B, C, D, M, N, K>;
    form.signature = std::is_same_v<C, DoubleElement> ? "v8w8w8w8" : "v4w4w4w4";
    form.flow = Flow::warpSync;
    form.kind = Class::mma;
    form.mode = static_cast<uint8_t>(mode);
    form.work = 2 * M * N * K;
    for (const char* a : kOrders) {
      for (const char* b : kOrders) {
        table_.add(std::string("wmma.mma.sync.aligned.") + a + "." + b + "." + shape + "." + tail, form);
      }
    }
  }

 private:
  template <class F>
  Form moving(Handler fn, const char* signature) {
    Form form;
    form.fn = fn;
    form.signature = signature;
    form.flow = Flow::warpSync;
    form.kind = Class::memory;
    form.vec = static_cast<uint8_t>(F::kRegisters);
    return form;
  }
  void add(Form& form, const std::string& start, const std::string& shape, const std::string& type) {
    const std::pair<const char*, Space> spaces[] = {
        {"", Space::generic}, {".global", Space::global}, {".shared", Space::shared}};
    for (int order = 0; order < 2; ++order) {
      for (const auto& space : spaces) {
        form.mode = static_cast<uint8_t>(order);
        form.space = space.second;
        table_.add(start + ".sync.aligned." + kOrders[order] + "." + shape + space.first + "." + type, form);
      }
    }
  }
  FormTable& table_;
};

// The shapes of 16 along k.
template <int M, int N>
void addSixteen(Adder& adder, const std::string& shape) {
  using Byte = IntegerElement<int8_t>;
  using Unsigned = IntegerElement<uint8_t>;
  using Integer = IntegerElement<int32_t>;
  adder.factors<HalfElement, M, N, 16>(shape, "f16");
  adder.factors<BFloatElement, M, N, 16>(shape, "bf16");
  adder.factors<Byte, M, N, 16>(shape, "s8");
  adder.factors<Unsigned, M, N, 16>(shape, "u8");
  adder.sums<HalfElement, M, N, 16>(shape, "f16");
  adder.sums<FloatElement, M, N, 16>(shape, "f32");
  adder.sums<Integer, M, N, 16>(shape, "s32");
  // The type of D, then that of C.
  adder.multiply<HalfElement, HalfElement, HalfElement, HalfElement, M, N, 16>(shape, "f16.f16");
  adder.multiply<HalfElement, HalfElement, FloatElement, HalfElement, M, N, 16>(shape, "f16.f32");
  adder.multiply<HalfElement, HalfElement, HalfElement, FloatElement, M, N, 16>(shape, "f32.f16");
  adder.multiply<HalfElement, HalfElement, FloatElement, FloatElement, M, N, 16>(shape, "f32.f32");
  adder.multiply<BFloatElement, BFloatElement, FloatElement, FloatElement, M, N, 16>(shape, "f32.bf16.bf16.f32");
  for (int saturate = 0; saturate < 2; ++saturate) {
    const std::string tail = saturate == 1 ? ".satfinite" : "";
    adder.multiply<Byte, Byte, Integer, Integer, M, N, 16>(shape, "s32.s8.s8.s32" + tail, saturate);
    adder.multiply<Unsigned, Unsigned, Integer, Integer, M, N, 16>(shape, "s32.u8.u8.s32" + tail, saturate);
  }
}

}  // namespace

void addWmmaForms(FormTable& table) {
  Adder adder(table);
  addSixteen<16, 16>(adder, "m16n16k16");
  addSixteen<32, 8>(adder, "m32n8k16");
  addSixteen<8, 32>(adder, "m8n32k16");
  adder.factors<Tf32Element, 16, 16, 8>("m16n16k8", "tf32");
  adder.sums<FloatElement, 16, 16, 8>("m16n16k8", "f32");
  adder.multiply<Tf32Element, Tf32Element, FloatElement, FloatElement, 16, 16, 8>("m16n16k8", "f32.tf32.tf32.f32");
  adder.factors<DoubleElement, 8, 8, 4>("m8n8k4", "f64");
  adder.sums<DoubleElement, 8, 8, 4>("m8n8k4", "f64");
  for (const char* tail : {"f64.f64.f64.f64", "f64.f64.f64.f64.rn"}) {
    adder.multiply<DoubleElement, DoubleElement, DoubleElement, DoubleElement, 8, 8, 4>("m8n8k4", tail);
  }
}

}  // namespace warploom::cudasim
