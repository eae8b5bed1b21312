// Kernels, inputs and comparison of the truth tables.
#include "truth.h"

#include <cfloat>
#include <climits>
#include <cmath>

#include "exact.h"
#include "native/cudasim/sim.h"

namespace warploom::test {

namespace {

struct TypeFacts {
  const char* name;
  int bytes;
};
const TypeFacts kFacts[] = {{"u8", 1},   {"s8", 1},    {"u16", 2},    {"s16", 2}, {"u32", 4}, {"s32", 4},
                            {"u64", 8},  {"s64", 8},   {"b16", 2},    {"b32", 4}, {"b64", 8}, {"f16", 2},
                            {"bf16", 2}, {"f16x2", 4}, {"bf16x2", 4}, {"f32", 4}, {"f64", 8}, {"pred", 1}};
const TypeFacts& facts(Type type) { return kFacts[static_cast<std::size_t>(type)]; }

std::vector<uint64_t> makeEdges(Type type) {
  std::vector<uint64_t> list;
  // Half types: signed zeros, one, ties, denormals, limits, infinities, quiet and signalling NaN.
  const std::vector<uint16_t> half = {0x0000, 0x8000, 0x3c00, 0xbc00, 0x3800, 0x4100, 0xc300, 0x0001, 0x8001, 0x03ff,
                                      0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7c01, 0x6400, 0x57ff};
  const std::vector<uint16_t> brain = {0x0000, 0x8000, 0x3f80, 0xbf80, 0x3f00, 0x4020, 0xc060, 0x0001, 0x8001, 0x007f,
                                       0x0080, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7fc0, 0xffc1, 0x7f81, 0x4700, 0x437f};
  switch (type) {
    case Type::pred:
      return {0, 1};
    case Type::f16:
      for (uint16_t v : half) list.push_back(v);
      return list;
    case Type::bf16:
      for (uint16_t v : brain) list.push_back(v);
      return list;
    case Type::f16x2:
    case Type::bf16x2: {
      const std::vector<uint16_t>& parts = type == Type::f16x2 ? half : brain;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        list.push_back(parts[i] | static_cast<uint64_t>(parts[(i * 7 + 3) % parts.size()]) << 16);
      }
      return list;
    }
    case Type::f32:
      for (float v :
           {0.0f,    -0.0f,    1.0f, -1.0f,         0.5f,           2.5f,   -3.5f, 1e-40f,   -1e-45f,   FLT_MIN,
            FLT_MAX, -FLT_MAX, 4e9f, 2147483648.0f, -2147483648.0f, 255.5f, 3.0f,  INFINITY, -INFINITY, NAN}) {
        list.push_back(to<float>(v));
      }
      list.push_back(0xff812345);  // a signalling NaN with sign and payload
      return list;
    case Type::f64:
      for (double v : {0.0,
                       -0.0,
                       1.0,
                       -1.0,
                       0.5,
                       2.5,
                       -3.5,
                       1e-310,
                       -5e-324,
                       DBL_MIN,
                       DBL_MAX,
                       -DBL_MAX,
                       4294967296.0,
                       2147483647.5,
                       -2147483649.0,
                       1.8446744073709552e19,
                       9.2233720368547758e18,
                       double{INFINITY},
                       double{-INFINITY},
                       double{NAN}}) {
        list.push_back(to<double>(v));
      }
      return list;
    default:
      break;
  }
  const std::vector<uint64_t> all = {0,
                                     1,
                                     2,
                                     3,
                                     7,
                                     31,
                                     32,
                                     33,
                                     63,
                                     64,
                                     127,
                                     128,
                                     255,
                                     256,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     0x10000,
                                     INT_MAX,
                                     0x80000000,
                                     0xffffffff,
                                     0x100000000,
                                     static_cast<uint64_t>(INT64_MAX),
                                     static_cast<uint64_t>(INT64_MIN),
                                     ~uint64_t{0},
                                     0x123456789abcdef0};
  const int bytes = facts(type).bytes;
  const uint64_t mask = bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * bytes)) - 1;
  for (uint64_t v : all) {
    v &= mask;
    bool known = false;
    for (uint64_t other : list) known = known || other == v;
    if (!known) list.push_back(v);
  }
  return list;
}

uint64_t random(uint64_t& state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state ^ state >> 29;
}

// Every combination of the sources' values, and random bits.
std::vector<Lane> inputsOf(const Truth& truth) {
  std::vector<Lane> lanes(1);
  for (std::size_t i = 0; i < truth.sources.size(); ++i) {
    const auto given = truth.values.find(static_cast<int>(i));
    const std::vector<uint64_t>& values = given != truth.values.end() ? given->second : edgesOf(truth.sources[i]);
    std::vector<Lane> more;
    // Four sources would make too many: the last ones are stepped through.
    if (i >= 3) {
      for (std::size_t k = 0; k < lanes.size(); ++k)
        lanes[k].s[i] = values[(k * 7 + k / values.size()) % values.size()];
      continue;
    }
    for (const Lane& lane : lanes) {
      for (uint64_t value : values) {
        more.push_back(lane);
        more.back().s[i] = value;
      }
    }
    lanes = std::move(more);
  }
  uint64_t state = 20240229;
  for (int k = 0; k < 512; ++k) {
    Lane lane;
    for (std::size_t i = 0; i < truth.sources.size(); ++i) {
      const auto given = truth.values.find(static_cast<int>(i));
      const int bits = 8 * facts(truth.sources[i]).bytes;
      const uint64_t r = random(state);
      lane.s[i] = given != truth.values.end()      ? given->second[r % given->second.size()]
                  : truth.sources[i] == Type::pred ? r & 1
                  : bits == 64                     ? r
                                                   : r & ((uint64_t{1} << bits) - 1);
    }
    lanes.push_back(lane);
  }
  return lanes;
}

// The letter of a register's name.
const char* fileOf(Type type) {
  if (type == Type::pred) return "%p";
  const int bytes = facts(type).bytes;
  return bytes <= 2 ? "%h" : bytes == 4 ? "%r" : "%rd";
}
const char* bitsOf(Type type) {
  const int bytes = facts(type).bytes;
  return bytes <= 2 ? "b16" : bytes == 4 ? "b32" : "b64";
}

template <class T>
bool near(T got, T wanted, const Truth& truth) {
  if (std::isnan(got) || std::isnan(wanted)) return std::isnan(got) && std::isnan(wanted);
  if (got == wanted) return std::signbit(got) == std::signbit(wanted);
  if (std::isinf(wanted) || std::isinf(got)) return false;
  const T apart = std::fabs(got - wanted);
  const T ulp = std::nextafter(std::fabs(wanted), static_cast<T>(INFINITY)) - std::fabs(wanted);
  return apart <= static_cast<T>(truth.absolute) || apart <= static_cast<T>(truth.ulp) * ulp;
}
bool sameHalf(const Truth& truth, uint64_t got, uint64_t wanted) {
  const Format& f = formatOf(truth.d);
  if (got == wanted || (f.isNaN(got) && f.isNaN(wanted))) return true;
  if ((truth.ulp == 0 && truth.absolute == 0) || f.isNaN(got) || f.isNaN(wanted)) return false;
  if ((got & wanted & f.infinity()) == f.infinity()) return false;
  const long double apart = std::fabs(valueOf(got, f) - valueOf(wanted, f));
  const long double ulp = std::fabs(valueOf(wanted + 1, f) - valueOf(wanted, f));
  return apart != 0 && (apart <= truth.absolute || apart <= truth.ulp * ulp);
}

bool same(const Truth& truth, uint64_t got, uint64_t wanted) {
  const int bytes = facts(truth.dRegister).bytes;
  const uint64_t mask =
      bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * (bytes == 1 && truth.d != Type::pred ? 2 : bytes))) - 1;
  if (((got ^ wanted) & mask) == 0) return true;
  const bool approximate = truth.ulp > 0 || truth.absolute > 0;
  switch (truth.d) {
    case Type::f32:
      if (approximate) return near(from<float>(got), from<float>(wanted), truth);
      return std::isnan(from<float>(got)) && std::isnan(from<float>(wanted));
    case Type::f64:
      if (approximate) return near(from<double>(got), from<double>(wanted), truth);
      return std::isnan(from<double>(got)) && std::isnan(from<double>(wanted));
    case Type::f16:
    case Type::bf16:
      return ((got ^ wanted) & mask & ~uint64_t{0xffff}) == 0 && sameHalf(truth, got & 0xffff, wanted & 0xffff);
    case Type::f16x2:
    case Type::bf16x2:
      return sameHalf(truth, got & 0xffff, wanted & 0xffff) &&
             sameHalf(truth, got >> 16 & 0xffff, wanted >> 16 & 0xffff);
    default:
      return false;
  }
}

void replaceAll(std::string& text, const std::string& what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

}  // namespace

const char* nameOf(Type type) { return facts(type).name; }
int bytesOf(Type type) { return facts(type).bytes; }

const std::vector<uint64_t>& edgesOf(Type type) {
  static std::map<Type, std::vector<uint64_t>> known;
  auto found = known.find(type);
  if (found == known.end()) found = known.emplace(type, makeEdges(type)).first;
  return found->second;
}

Truth& Truths::add(const std::string& form, Truth truth) {
  if (truths_.count(form) != 0) twice_.push_back(form);
  return truths_[form] = std::move(truth);
}
Truth& Truths::own(const std::string& form, std::function<void(const std::string& form)> test) {
  Truth truth;
  truth.own = std::move(test);
  return add(form, std::move(truth));
}

std::string headerOf(const Truth& truth) {
  return ".version " + truth.version + "\n.target " + truth.target + "\n.address_size 64\n";
}

// A thread a row: loads its sources (64 bits each in memory), applies the form, stores its results.
std::string kernelText(const std::string& form, const Truth& truth, const std::string& name) {
  std::string text =
      ".visible .entry " + name +
      "(.param .u64 in, .param .u64 out, .param .u32 n)\n{\n.reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<12>; .reg "
      ".b64 "
      "%rd<12>;\n"
      "mov.u32 %r9, %ctaid.x; mov.u32 %r10, %ntid.x; mov.u32 %r11, %tid.x; mad.lo.s32 %r9, %r9, %r10, %r11;\n"
      "ld.param.u32 %r10, [n]; setp.ge.u32 %p0, %r9, %r10; @%p0 bra done;\n"
      "ld.param.u64 %rd9, [in]; mul.wide.u32 %rd10, %r9, 32; add.s64 %rd9, %rd9, %rd10;\n"
      "ld.param.u64 %rd11, [out]; mul.wide.u32 %rd10, %r9, 16; add.s64 %rd11, %rd11, %rd10;\n";
  std::vector<std::string> names;
  for (std::size_t i = 0; i < truth.sources.size(); ++i) {
    const Type type = truth.sourceRegisters[i];
    const std::string number = std::to_string(i + 1), address = "[%rd9+" + std::to_string(8 * i) + "]";
    names.push_back(fileOf(type) + number);
    if (type == Type::pred) {
      text += "ld.global.b32 %r" + number + ", " + address + "; setp.ne.u32 %p" + number + ", %r" + number + ", 0;\n";
    } else {
      text += std::string("ld.global.") + bitsOf(type) + " " + names.back() + ", " + address + ";\n";
    }
  }
  const std::string d = fileOf(truth.dRegister) + std::string("8"), d2 = "%p7";
  std::string call = truth.text;
  if (call.empty()) {
    call = form + " " + d + (truth.second ? "|" + d2 : "");
    for (const std::string& source : names) call += ", " + source;
    call += ";";
  } else {
    const char* const places[] = {"{a}", "{b}", "{c}", "{e}"};
    replaceAll(call, "{form}", form);
    replaceAll(call, "{d}", d);
    replaceAll(call, "{d2}", d2);
    for (std::size_t i = 0; i < names.size(); ++i) replaceAll(call, places[i], names[i]);
  }
  text += call + "\n";
  if (truth.dRegister == Type::pred) {
    text += "selp.u32 %r8, 1, 0, %p8; st.global.u32 [%rd11], %r8;\n";
  } else {
    text += std::string("st.global.") + bitsOf(truth.dRegister) + " [%rd11], " + d + ";\n";
  }
  if (truth.second) text += "selp.u32 %r7, 1, 0, %p7; st.global.u32 [%rd11+8], %r7;\n";
  return text + "done: ret;\n}\n";
}

void prove(const std::string& form, const Truth& truth) {
  Sim sim(headerOf(truth) + kernelText(form, truth, "k"));
  std::vector<Lane> lanes = inputsOf(truth);
  const uint32_t n = static_cast<uint32_t>(lanes.size());
  std::vector<uint64_t> in(4 * lanes.size());
  for (std::size_t i = 0; i < lanes.size(); ++i) std::memcpy(&in[4 * i], lanes[i].s, 32);
  const uint64_t source = sim.put(in), out = sim.put(std::vector<uint64_t>(2 * lanes.size()));
  sim.clean("k", {(n + 127) / 128}, {128}, 0, source, out, n);
  const std::vector<uint64_t> results = sim.get<uint64_t>(out, 2 * lanes.size());
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    Lane& lane = lanes[i];
    truth.reference(lane);
    const bool right = truth.accept ? truth.accept(lane, results[2 * i]) : same(truth, results[2 * i], lane.d);
    if (right && (!truth.second || (results[2 * i + 1] & 1) == (lane.d2 & 1))) continue;
    char what[320];
    std::snprintf(what, sizeof(what), "%s(%llx, %llx, %llx, %llx) = %llx|%llx, expected %llx|%llx", form.c_str(),
                  static_cast<unsigned long long>(lane.s[0]), static_cast<unsigned long long>(lane.s[1]),
                  static_cast<unsigned long long>(lane.s[2]), static_cast<unsigned long long>(lane.s[3]),
                  static_cast<unsigned long long>(results[2 * i]), static_cast<unsigned long long>(results[2 * i + 1]),
                  static_cast<unsigned long long>(lane.d), static_cast<unsigned long long>(lane.d2));
    failed("truth", 0, what);
    return;
  }
}

}  // namespace warploom::test
