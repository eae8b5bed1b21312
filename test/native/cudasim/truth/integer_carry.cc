// Truths of the carry chains. The condition code is set up by an addition or subtraction in front, and read by one
// behind.
#include "truth.h"

namespace warploom::test {

namespace {

using U = unsigned __int128;

template <class T>
U high(T a, T b) {
  return static_cast<U>(static_cast<__int128>(a) * static_cast<__int128>(b)) >> (8 * sizeof(T));
}
template <>
U high(uint64_t a, uint64_t b) {
  return static_cast<U>(a) * b >> 64;
}

// in: the form takes the carry, which the last source makes: 1 unless that is 0. d2: the carry behind the form.
template <class T>
Truth chain(bool in, bool subtract, int sources) {
  Truth truth;
  truth.d = truth.dRegister = typeOf<T>();
  truth.sources.assign(static_cast<std::size_t>(sources), typeOf<T>());
  truth.second = true;
  if (in) {
    truth.sources.push_back(Type::u32);
    truth.values[sources] = {0, 1, 0xffffffff};
  }
  truth.sourceRegisters = truth.sources;
  const std::string flag = sources == 2 ? "{c}" : "{e}";
  const std::string before = subtract ? "sub.cc.u32 %r6, 0, " + flag + "; " : "add.cc.u32 %r6, " + flag + ", -1; ";
  truth.text = (in ? before : std::string()) + "{form} {d}, {a}, {b}" + (sources == 3 ? ", {c}; " : "; ") +
               (subtract ? "subc.u32 %r6, 0, 0;" : "addc.u32 %r6, 0, 0;") + " setp.ne.u32 {d2}, %r6, 0;";
  return truth;
}

template <class T>
void sums(Truths& truths) {
  using V = std::make_unsigned_t<T>;
  const std::string t = std::string(".") + nameOf(typeOf<T>());
  constexpr int bits = 8 * sizeof(T);
  for (const bool subtract : {false, true}) {
    for (const bool in : {false, true}) {
      for (const bool out : {false, true}) {
        if (!in && !out) continue;
        Truth truth = chain<T>(in, subtract, 2);
        truth.reference = [=](Lane& lane) {
          const U a = from<V>(lane.s[0]), b = from<V>(lane.s[1]), carry = in && lane.s[2] != 0;
          const U result = subtract ? a - b - carry : a + b + carry;
          lane.d = to<V>(static_cast<V>(result));
          lane.d2 = out ? static_cast<uint64_t>(result >> bits) & 1 : static_cast<uint64_t>(carry);
        };
        truths.add(std::string(subtract ? "sub" : "add") + (in ? "c" : "") + (out ? ".cc" : "") + t, truth);
      }
    }
  }
  for (const bool upper : {false, true}) {
    for (const bool in : {false, true}) {
      for (const bool out : {false, true}) {
        if (!in && !out) continue;
        Truth truth = chain<T>(in, false, 3);
        truth.reference = [=](Lane& lane) {
          const T a = from<T>(lane.s[0]), b = from<T>(lane.s[1]);
          const U product = upper ? high(a, b) : static_cast<U>(from<V>(lane.s[0])) * from<V>(lane.s[1]);
          const U carry = in && lane.s[3] != 0;
          const U result = static_cast<U>(static_cast<V>(product)) + from<V>(lane.s[2]) + carry;
          lane.d = to<V>(static_cast<V>(result));
          lane.d2 = out ? static_cast<uint64_t>(result >> bits) & 1 : static_cast<uint64_t>(carry);
        };
        truths.add(std::string("mad") + (in ? "c" : "") + (upper ? ".hi" : ".lo") + (out ? ".cc" : "") + t, truth);
      }
    }
  }
}

}  // namespace

void addCarryTruths(Truths& truths) {
  sums<uint32_t>(truths);
  sums<int32_t>(truths);
  sums<uint64_t>(truths);
  sums<int64_t>(truths);
}

}  // namespace warploom::test
