// Truths of cvt: integers and floats of every width among each other, by integers alone.
#include "exact.h"
#include "native/check.h"

namespace warploom::test {

namespace {

using W = __int128;

constexpr Type kIntegers[] = {Type::u8, Type::s8, Type::u16, Type::s16, Type::u32, Type::s32, Type::u64, Type::s64};
constexpr Type kFloats[] = {Type::f16, Type::f32, Type::f64};
struct Rounding {
  const char* name;
  Round round;
};
constexpr Rounding kRoundings[] = {
    {".rn", Round::nearest}, {".rz", Round::zero}, {".rm", Round::down}, {".rp", Round::up}};

bool isSigned(Type t) { return t == Type::s8 || t == Type::s16 || t == Type::s32 || t == Type::s64; }
int bitsOf(Type t) { return 8 * bytesOf(t); }
std::string dot(Type t) { return std::string(".") + nameOf(t); }

// The low bits of a register as a number of the type.
W integerOf(uint64_t bits, Type t) {
  const int spare = 128 - bitsOf(t);
  return isSigned(t) ? static_cast<W>(static_cast<Bits128>(bits) << spare) >> spare
                     : static_cast<W>(static_cast<Bits128>(bits) << spare >> spare);
}
W clampedTo(W v, Type t) {
  const W low = isSigned(t) ? -(W{1} << (bitsOf(t) - 1)) : 0;
  const W high = isSigned(t) ? (W{1} << (bitsOf(t) - 1)) - 1 : (W{1} << bitsOf(t)) - 1;
  return v < low ? low : v > high ? high : v;
}
// What a register holds: the sign of signed types goes all the way up.
uint64_t registerOf(W v, Type t) { return static_cast<uint64_t>(integerOf(static_cast<uint64_t>(v), t)); }

Exact exactOf(W v) {
  Exact r;
  r.negative = v < 0;
  r.m = static_cast<Bits128>(v < 0 ? -v : v);
  return r;
}
Exact integral(Exact v, Round round) {
  if (v.nan || v.infinite || v.m == 0 || v.e >= 0) return v;
  v.m = shiftRight(v.m, -v.e, v.negative, round);
  v.e = 0;
  return v;
}
uint64_t integerFrom(const Exact& x, Round round, Type d, Type s) {
  if (x.nan) {
    const bool zero = s != Type::f64 && bitsOf(d) != 64;
    return zero ? 0 : registerOf(W{1} << (bitsOf(d) - 1), d);
  }
  const Exact v = integral(x, round);
  const bool large = v.infinite || (v.m != 0 && v.e + topBit(v.m) > 100);
  const W size = large ? W{1} << 100 : v.m == 0 ? 0 : static_cast<W>(v.m << v.e);
  return registerOf(clampedTo(v.negative ? -size : size, d), d);
}

// Integers of every length, around powers of two, and such that lie between two floats.
std::vector<uint64_t> integersOf(Type t) {
  std::vector<uint64_t> values = edgesOf(t);
  for (const uint64_t pattern : {0xffffffffffffffffu, 0xaaaaaaaaaaaaaaaau, 0x8000010000000001u, 0x8000008000000000u,
                                 0x80000000000007ffu, 0xc000000000000400u, 0x9000000000000c00u, 0x8020000000000000u}) {
    for (int shift = 0; shift < 64; ++shift) values.push_back(pattern >> shift);
  }
  // What lies above the type's bits in a wider register must not be looked at.
  const std::size_t count = values.size();
  for (std::size_t i = 0; i < count; ++i) values[i] ^= bitsOf(t) == 64 ? 0 : (i % 3) * 0x5a5a5a5au << bitsOf(t);
  return values;
}
// Around the limits of the integers, and halfway between the values of narrower floats.
std::vector<uint64_t> floatsOf(Type t) {
  const Format& f = formatOf(t);
  std::vector<uint64_t> values = edgesOf(t);
  for (const int power : {-1, 0, 1, 7, 8, 10, 11, 15, 16, 23, 24, 31, 32, 52, 53, 63, 64}) {
    for (const long double apart : {-1.0L, -0.75L, -0.5L, -0.25L, 0.0L, 0.25L, 0.5L, 0.75L, 1.0L}) {
      for (const int sign : {1, -1}) {
        values.push_back(warploom::test::bitsOf(sign * (std::ldexp(1.0L, power) + apart), f));
        values.push_back(warploom::test::bitsOf(sign * (std::ldexp(1.0L, power) + apart), f, Round::zero));
      }
    }
  }
  uint64_t state = 424242;
  for (const Format& narrow : {kF16, kBF16, kF32}) {
    for (int i = 0; i < 120; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      // All exponents of a half; of the wider ones those at which a half, a float and a double end.
      uint64_t bits = state >> 24 & (2 * narrow.sign() - 1);
      if (i % 3 == 0) bits &= narrow.sign() | ((uint64_t{2} << narrow.fraction) - 1);
      if (i % 3 == 1) bits |= narrow.infinity() - (uint64_t{1} << narrow.fraction);
      Exact v = decode(bits, narrow);
      if (v.nan || v.infinite) continue;
      for (int quarter = 0; quarter < 4; ++quarter) {
        Exact w = v;
        w.m = v.m * 4 + static_cast<unsigned>(quarter);
        w.e -= 2;
        values.push_back(encode(w, f, Round::nearest));
        w.m = w.m * 1024 + 1;
        w.e -= 10;
        values.push_back(encode(w, f, Round::nearest));
      }
    }
  }
  return values;
}

// Values in registers wide enough for a narrow integer and more.
Type registerFor(Type t) { return bytesOf(t) < 4 && t != Type::f16 && t != Type::bf16 ? Type::b32 : t; }

struct Adder {
  Truths& truths;

  Truth& put(const std::string& form, Type d, Type s, const std::function<uint64_t(uint64_t)>& reference) {
    Truth truth;
    truth.d = d;
    truth.dRegister = registerFor(d);
    truth.sources = {s};
    truth.sourceRegisters = {registerFor(s)};
    const bool floating = s == Type::f16 || s == Type::f32 || s == Type::f64;
    truth.values[0] = floating ? floatsOf(s) : integersOf(s);
    truth.reference = [reference](Lane& lane) { lane.d = reference(lane.s[0]); };
    return truths.add(form, std::move(truth));
  }

  void integers(Type d, Type s) {
    put("cvt" + dot(d) + dot(s), d, s, [=](uint64_t a) { return registerOf(integerOf(a, s), d); });
    // Saturation that can change nothing is no form.
    const bool holds = isSigned(d) ? bitsOf(d) > bitsOf(s) || (isSigned(s) && bitsOf(d) == bitsOf(s))
                                   : !isSigned(s) && bitsOf(d) >= bitsOf(s);
    if (holds) return;
    put("cvt.sat" + dot(d) + dot(s), d, s, [=](uint64_t a) { return registerOf(clampedTo(integerOf(a, s), d), d); });
  }

  void mixed(Type integer, Type floating) {
    const Format f = formatOf(floating);
    for (const Rounding& r : kRoundings) {
      const Round round = r.round;
      const std::string name = std::string("cvt") + r.name;
      put(name + dot(floating) + dot(integer), floating, integer,
          [=](uint64_t a) { return encode(exactOf(integerOf(a, integer)), f, round); });
      // .sat is redundant here.
      for (const char* sat : {"", ".sat"}) {
        put(name + "i" + sat + dot(integer) + dot(floating), integer, floating,
            [=](uint64_t a) { return integerFrom(decode(a, f), round, integer, floating); });
        if (floating != Type::f32) continue;
        put(name + "i.ftz" + sat + dot(integer) + dot(floating), integer, floating,
            [=](uint64_t a) { return integerFrom(decode(flushed(a, f), f), round, integer, floating); });
      }
    }
  }

  // Between floats. Only float32 is flushed, on either side.
  void floats(const std::string& modifiers, Type d, Type s, const Modifiers& with, bool toIntegral = false) {
    const Format from = formatOf(s), into = formatOf(d);
    const bool flushIn = with.ftz && s == Type::f32, flushOut = with.ftz && d == Type::f32;
    Truth& truth = put("cvt" + modifiers + dot(d) + dot(s), d, s, [=](uint64_t a) {
      Exact v = decode(flushIn ? flushed(a, from) : a, from);
      if (toIntegral) v = integral(v, with.round);
      const uint64_t bits = encode(v, into, with.round);
      return clamped(flushOut ? flushed(bits, into) : bits, into, with);
    });
    if (d != Type::f64 && (d != s || toIntegral || with.sat)) asksEveryBit(truth);
  }
  void floats(Type d, Type s) {
    const bool single = d == Type::f32 || s == Type::f32;
    for (const bool ftz : {false, true}) {
      if (ftz && !single) continue;
      const std::string z = ftz ? ".ftz" : "";
      if (bitsOf(d) >= bitsOf(s)) {
        floats(z, d, s, {Round::nearest, ftz});
        floats(z + ".sat", d, s, {Round::nearest, ftz, true});
      }
      for (const Rounding& r : kRoundings) {
        if (d == s) {
          floats(std::string(r.name) + "i" + z, d, s, {r.round, ftz}, true);
          floats(std::string(r.name) + "i" + z + ".sat", d, s, {r.round, ftz, true}, true);
        } else if (bitsOf(d) < bitsOf(s)) {
          floats(r.name + z, d, s, {r.round, ftz});
          floats(r.name + z + ".sat", d, s, {r.round, ftz, true});
        }
      }
    }
  }

  void fromSingle() {
    for (const Type half : {Type::f16, Type::bf16}) {
      const Format f = formatOf(half);
      const Type two = half == Type::f16 ? Type::f16x2 : Type::bf16x2;
      for (const Rounding& r : {kRoundings[0], kRoundings[1]}) {
        for (const bool relu : {false, true}) {
          const Modifiers with{r.round, false, false, relu};
          const std::string name = std::string("cvt") + r.name + (relu ? ".relu" : "");
          const auto one = [=](uint64_t a) { return clamped(encode(decode(a, kF32), f, with.round), f, with); };
          if (half == Type::bf16 || relu) put(name + dot(half) + ".f32", half, Type::f32, one);
          Truth& truth = put(name + dot(two) + ".f32", two, Type::f32, one);
          truth.sources.push_back(Type::f32);
          truth.sourceRegisters.push_back(Type::f32);
          const std::vector<uint64_t> all = truth.values[0];
          std::vector<uint64_t>& second = truth.values[1];
          for (std::size_t i = 0; i < all.size(); i += 37) second.push_back(all[i]);
          // The first source is the upper half.
          truth.reference = [one](Lane& lane) { lane.d = one(lane.s[0]) << 16 | one(lane.s[1]); };
        }
      }
    }
    put("cvt.f32.bf16", Type::f32, Type::bf16,
        [](uint64_t a) { return encode(decode(a, kBF16), kF32, Round::nearest); });
    // Ten bits of fraction at the top of a float32; what is below is zero.
    constexpr Format tf32{19, 10, 127};
    put("cvt.rna.tf32.f32", Type::f32, Type::f32,
        [=](uint64_t a) { return encode(decode(a, kF32), tf32, Round::away) << 13; });
  }
};

void addAll(Truths& truths) {
  Adder add{truths};
  for (const Type d : kIntegers) {
    for (const Type s : kIntegers) add.integers(d, s);
    for (const Type f : kFloats) add.mixed(d, f);
  }
  for (const Type d : kFloats) {
    for (const Type s : kFloats) add.floats(d, s);
  }
  add.fromSingle();
}

}  // namespace

void addConvertTruths(Truths& truths) { addAll(truths); }

// The tables use one register for each type. A result fills any that is wide enough, by sign or zeros; a source may lie
// in a wider one.
TEST(conversions_use_wider_registers) {
  Truths truths;
  addAll(truths);
  std::size_t proven = 0;
  for (const auto& entry : truths.all()) {
    const Truth& truth = entry.second;
    if (truth.sources.size() != 1 || truth.d == Type::bf16 || truth.sources[0] == Type::bf16) continue;
    if (bytesOf(truth.d) >= 8 || entry.first.find("tf32") != std::string::npos) continue;
    for (const Type d : {Type::b16, Type::b32, Type::b64}) {
      // A float32 in a register of 64 bits is refused by the assembler.
      if (bytesOf(d) < bytesOf(truth.d) || (truth.d == Type::f32 && d == Type::b64)) continue;
      if (d == truth.dRegister) continue;
      Truth other = truth;
      other.dRegister = d;
      prove(entry.first, other);
      ++proven;
    }
  }
  CHECK(proven > 300);
}

}  // namespace warploom::test
