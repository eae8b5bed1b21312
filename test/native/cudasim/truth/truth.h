// Truth tables: for each instruction form that the decoder accepts, a kernel in PTX and a reference in plain C++.
//
// Most forms work lane by lane: their truth names the types of their operands and computes one result; the harness
// writes the kernel, feeds it every combination of the types' edge values (NaN, signed zero, denormals, INT_MIN, shifts
// past the width) and random bits, and compares. Forms that touch memory, other lanes or the flow bring a test of their
// own. References share no code with the handlers.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace warploom::test {

// What an operand holds. The register that carries it: b16 for 8 and 16 bits (`wide8`: b32), b32, b64, a predicate.
enum class Type { u8, s8, u16, s16, u32, s32, u64, s64, b16, b32, b64, f16, bf16, f16x2, bf16x2, f32, f64, pred };

const char* nameOf(Type type);
int bytesOf(Type type);  // 1 for a predicate
// Inputs worth trying: zeros, ones, limits, NaN, infinities, denormals, ties.
const std::vector<uint64_t>& edgesOf(Type type);

// The operands of one lane and its results, as bits. s: sources in the order of PTX.
struct Lane {
  uint64_t s[4] = {0, 0, 0, 0};
  uint64_t d = 0, d2 = 0;
};

struct Truth {
  // Lane by lane: computes d (and d2) from s.
  std::function<void(Lane&)> reference;
  Type d = Type::b32;
  std::vector<Type> sources;
  bool second = false;  // a second destination, a predicate: d|p
  // The register of d may be wider than its type; then the whole register is compared.
  Type dRegister = Type::b32;
  std::vector<Type> sourceRegisters;
  // Results of approximate forms: allowed error in ulp of the exact result, or as an absolute error; 0: every bit
  // counts, except that all NaNs are equal.
  double ulp = 0, absolute = 0;
  // Where given, judges a result in place of the comparison with d.
  std::function<bool(const Lane& lane, uint64_t got)> accept;
  // Where given, replaces the text "form d, a, b;": {form}, {d}, {a}, {b}, {c}, {e} are put in.
  std::string text;
  // Inputs in place of the edges of a source's type, by source.
  std::map<int, std::vector<uint64_t>> values;
  // What the form needs of the text's header: a later version of PTX, a later architecture.
  std::string version = "8.0", target = "sm_80";
  // Anything else: proves the form by itself, through failed() and CHECK.
  std::function<void(const std::string& form)> own;
};

class Truths {
 public:
  // `form`: the name in the decoder's table.
  Truth& add(const std::string& form, Truth truth);
  Truth& own(const std::string& form, std::function<void(const std::string& form)> test);

  // One result of type D from sources S...: table.map<float, float, float>("add.f32", [](float a, float b) {...}).
  template <class D, class... S, class F>
  Truth& map(const std::string& form, F f);

  const std::map<std::string, Truth>& all() const { return truths_; }
  const std::vector<std::string>& twice() const { return twice_; }

 private:
  std::map<std::string, Truth> truths_;
  std::vector<std::string> twice_;  // a form with two truths is a mistake
};

// One for each family: truth/<family>.cc.
void addIntegerTruths(Truths& truths);
void addCompareTruths(Truths& truths);
void addConvertTruths(Truths& truths);
void addFloatTruths(Truths& truths);
void addHalfTruths(Truths& truths);
void addMemoryTruths(Truths& truths);
void addAtomicTruths(Truths& truths);
void addWarpTruths(Truths& truths);
void addMatrixTruths(Truths& truths);
void addControlTruths(Truths& truths);
void addVideoTruths(Truths& truths);

// Runs the lane-by-lane truth of a form; complaints go to failed().
void prove(const std::string& form, const Truth& truth);
// The header of the text, and its kernel `name`: also for the assembler, which must take every form.
std::string headerOf(const Truth& truth);
std::string kernelText(const std::string& form, const Truth& truth, const std::string& name);

// Bits and values.
template <class T>
T from(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class T>
uint64_t to(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

// Bits of the types that C++ does not have.
struct B16 {
  uint16_t bits;
};
struct B32 {
  uint32_t bits;
};
struct B64 {
  uint64_t bits;
};
struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};
struct F16x2 {
  uint16_t low, high;
};
struct BF16x2 {
  uint16_t low, high;
};

template <class T>
constexpr Type typeOf() {
  if (std::is_same_v<T, bool>) return Type::pred;
  if (std::is_same_v<T, uint8_t>) return Type::u8;
  if (std::is_same_v<T, int8_t>) return Type::s8;
  if (std::is_same_v<T, uint16_t>) return Type::u16;
  if (std::is_same_v<T, int16_t>) return Type::s16;
  if (std::is_same_v<T, uint32_t>) return Type::u32;
  if (std::is_same_v<T, int32_t>) return Type::s32;
  if (std::is_same_v<T, uint64_t>) return Type::u64;
  if (std::is_same_v<T, int64_t>) return Type::s64;
  if (std::is_same_v<T, B16>) return Type::b16;
  if (std::is_same_v<T, B64>) return Type::b64;
  if (std::is_same_v<T, F16>) return Type::f16;
  if (std::is_same_v<T, BF16>) return Type::bf16;
  if (std::is_same_v<T, F16x2>) return Type::f16x2;
  if (std::is_same_v<T, BF16x2>) return Type::bf16x2;
  if (std::is_same_v<T, float>) return Type::f32;
  if (std::is_same_v<T, double>) return Type::f64;
  return Type::b32;
}

template <class D, class... S, class F, std::size_t... I>
uint64_t call(const F& f, const Lane& lane, std::index_sequence<I...>) {
  return to<D>(static_cast<D>(f(from<S>(lane.s[I])...)));
}

template <class D, class... S, class F>
Truth& Truths::map(const std::string& form, F f) {
  Truth truth;
  truth.d = truth.dRegister = typeOf<D>();
  (truth.sources.push_back(typeOf<S>()), ...);
  truth.sourceRegisters = truth.sources;
  truth.reference = [f](Lane& lane) { lane.d = call<D, S...>(f, lane, std::index_sequence_for<S...>()); };
  return add(form, std::move(truth));
}

}  // namespace warploom::test
