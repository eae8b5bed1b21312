// Truth tables: one kernel a form, run over edge values, against references written apart from the handlers. The names
// come from the decoder's own table; families listed as complete fail when one of their forms has no reference.
#include "cudasim/ptx/forms.h"

#include <cfloat>
#include <climits>
#include <limits>
#include <map>
#include <set>

#include "sim.h"

using namespace warploom::test;

namespace {

struct Inputs {
  uint64_t a, b, c;
};
using Reference = std::function<uint64_t(const Inputs&)>;
// How a result is compared: so many low bits, or as a float in which every NaN is equal.
enum class As { bits8, bits16, bits32, bits64, predicate, float32, float64 };
struct Truth {
  Reference reference;
  As as;
};

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
template <class T>
constexpr As asOf() {
  if (std::is_same_v<T, float>) return As::float32;
  if (std::is_same_v<T, double>) return As::float64;
  return sizeof(T) == 1 ? As::bits8 : sizeof(T) == 2 ? As::bits16 : sizeof(T) == 4 ? As::bits32 : As::bits64;
}

using Table = std::map<std::string, Truth>;

template <class T>
void integers(Table& table, const std::string& t) {
  using W = __int128;
  constexpr int bits = 8 * sizeof(T);
  const auto two = [&](const std::string& name, W (*f)(W, W)) {
    table[name + t] = {[f](const Inputs& in) { return to<T>(static_cast<T>(f(from<T>(in.a), from<T>(in.b)))); },
                       asOf<T>()};
  };
  const auto three = [&](const std::string& name, W (*f)(W, W, W)) {
    table[name + t] = {
        [f](const Inputs& in) { return to<T>(static_cast<T>(f(from<T>(in.a), from<T>(in.b), from<T>(in.c)))); },
        asOf<T>()};
  };
  const auto high = [](W a, W b) -> W {
    if (!std::is_signed_v<T>)
      return static_cast<W>((static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b)) >> bits);
    return (a * b) >> bits;
  };
  two("add", [](W a, W b) { return a + b; });
  two("sub", [](W a, W b) { return a - b; });
  two("mul.lo",
      [](W a, W b) { return static_cast<W>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b)); });
  two("mul.hi", high);
  three("mad.lo", [](W a, W b, W c) {
    return static_cast<W>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b) +
                          static_cast<unsigned __int128>(c));
  });
  three("mad.hi", [](W a, W b, W c) -> W {
    if (!std::is_signed_v<T>)
      return static_cast<W>((static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b)) >> bits) + c;
    return ((a * b) >> bits) + c;
  });
  two("div", [](W a, W b) { return b == 0 ? W(-1) : a / b; });
  two("rem", [](W a, W b) { return b == 0 ? a : a % b; });
  two("min", [](W a, W b) { return a < b ? a : b; });
  two("max", [](W a, W b) { return a > b ? a : b; });
  three("sad", [](W a, W b, W c) { return c + (a > b ? a - b : b - a); });
  table["shr" + t] = {[](const Inputs& in) {
                        const uint32_t n = static_cast<uint32_t>(in.b);
                        return to<T>(static_cast<T>(static_cast<W>(from<T>(in.a)) >> (n > 100 ? 100 : n)));
                      },
                      asOf<T>()};
  if (std::is_signed_v<T>) {
    two("neg", [](W a, W) { return -a; });
    two("abs", [](W a, W) { return a < 0 ? -a : a; });
  }
  const std::pair<const char*, bool (*)(W, W)> compares[] = {
      {"eq", [](W a, W b) { return a == b; }}, {"ne", [](W a, W b) { return a != b; }},
      {"lt", [](W a, W b) { return a < b; }},  {"le", [](W a, W b) { return a <= b; }},
      {"gt", [](W a, W b) { return a > b; }},  {"ge", [](W a, W b) { return a >= b; }},
      {"lo", [](W a, W b) { return a < b; }},  {"ls", [](W a, W b) { return a <= b; }},
      {"hi", [](W a, W b) { return a > b; }},  {"hs", [](W a, W b) { return a >= b; }}};
  for (const auto& one : compares) {
    const auto f = one.second;
    const auto test = [f](const Inputs& in) { return f(from<T>(in.a), from<T>(in.b)); };
    const auto p = [](const Inputs& in) { return (in.c & 1) != 0; };
    const std::string name = std::string("setp.") + one.first;
    table[name + t] = {[=](const Inputs& in) { return uint64_t{test(in)}; }, As::predicate};
    table[name + ".and" + t] = {[=](const Inputs& in) { return uint64_t{test(in) && p(in)}; }, As::predicate};
    table[name + ".or" + t] = {[=](const Inputs& in) { return uint64_t{test(in) || p(in)}; }, As::predicate};
    table[name + ".xor" + t] = {[=](const Inputs& in) { return uint64_t{test(in) != p(in)}; }, As::predicate};
  }
}

template <class T>
void bitwise(Table& table, const std::string& t) {
  constexpr unsigned bits = 8 * sizeof(T);
  const auto put = [&](const std::string& name, T (*f)(T, T)) {
    table[name + t] = {[f](const Inputs& in) { return to<T>(f(from<T>(in.a), from<T>(in.b))); }, asOf<T>()};
  };
  put("and", [](T a, T b) { return static_cast<T>(a & b); });
  put("or", [](T a, T b) { return static_cast<T>(a | b); });
  put("xor", [](T a, T b) { return static_cast<T>(a ^ b); });
  put("not", [](T a, T) { return static_cast<T>(~a); });
  put("cnot", [](T a, T) { return static_cast<T>(a == 0); });
  for (const bool left : {true, false}) {
    table[(left ? "shl" : "shr") + t] = {[left](const Inputs& in) {
                                           const uint32_t n = static_cast<uint32_t>(in.b);
                                           const T a = from<T>(in.a);
                                           if (n >= bits) return uint64_t{0};
                                           return to<T>(static_cast<T>(left ? a << n : a >> n));
                                         },
                                         asOf<T>()};
  }
  put("brev", [](T a, T) {
    T r = 0;
    for (unsigned i = 0; i < bits; ++i) r = static_cast<T>(r << 1 | (a >> i & 1));
    return r;
  });
  table["popc" + t] = {[](const Inputs& in) {
                         uint64_t n = 0;
                         for (T a = from<T>(in.a); a != 0; a = static_cast<T>(a & (a - 1))) ++n;
                         return n;
                       },
                       As::bits32};
  table["clz" + t] = {[](const Inputs& in) {
                        uint64_t n = 0;
                        for (unsigned i = bits; i-- > 0 && (from<T>(in.a) >> i & 1) == 0;) ++n;
                        return n;
                      },
                      As::bits32};
}

template <class T>
void floating(Table& table, const std::string& t) {
  const std::pair<const char*, bool (*)(T, T)> compares[] = {
      {"eq", [](T a, T b) { return a == b; }},
      {"ne", [](T a, T b) { return !std::isnan(a) && !std::isnan(b) && a != b; }},
      {"lt", [](T a, T b) { return a < b; }},
      {"le", [](T a, T b) { return a <= b; }},
      {"gt", [](T a, T b) { return a > b; }},
      {"ge", [](T a, T b) { return a >= b; }},
      {"equ", [](T a, T b) { return std::isnan(a) || std::isnan(b) || a == b; }},
      {"neu", [](T a, T b) { return a != b; }},
      {"ltu", [](T a, T b) { return std::isnan(a) || std::isnan(b) || a < b; }},
      {"leu", [](T a, T b) { return std::isnan(a) || std::isnan(b) || a <= b; }},
      {"gtu", [](T a, T b) { return std::isnan(a) || std::isnan(b) || a > b; }},
      {"geu", [](T a, T b) { return std::isnan(a) || std::isnan(b) || a >= b; }},
      {"num", [](T a, T b) { return !std::isnan(a) && !std::isnan(b); }},
      {"nan", [](T a, T b) { return std::isnan(a) || std::isnan(b); }}};
  for (const auto& one : compares) {
    const auto f = one.second;
    table[std::string("setp.") + one.first + t] = {
        [f](const Inputs& in) { return uint64_t{f(from<T>(in.a), from<T>(in.b))}; }, As::predicate};
  }
}

Table references() {
  Table table;
  integers<uint16_t>(table, ".u16");
  integers<int16_t>(table, ".s16");
  integers<uint32_t>(table, ".u32");
  integers<int32_t>(table, ".s32");
  integers<uint64_t>(table, ".u64");
  integers<int64_t>(table, ".s64");
  bitwise<uint16_t>(table, ".b16");
  bitwise<uint32_t>(table, ".b32");
  bitwise<uint64_t>(table, ".b64");
  floating<float>(table, ".f32");
  floating<double>(table, ".f64");
  return table;
}

std::vector<uint64_t> edges(const std::string& form) {
  // The type of the sources is the last one, except for the count of a shift.
  const std::string type = form.substr(form.rfind('.') + 1);
  if (type == "f32") {
    std::vector<uint64_t> list;
    for (float v : {0.0f,    -0.0f,    1.0f, -1.0f,         0.5f,           2.5f,   -3.5f, 1e-40f,   -1e-45f,   FLT_MIN,
                    FLT_MAX, -FLT_MAX, 4e9f, 2147483648.0f, -2147483648.0f, 255.5f, 3.0f,  INFINITY, -INFINITY, NAN}) {
      list.push_back(to<float>(v));
    }
    return list;
  }
  if (type == "f64") {
    std::vector<uint64_t> list;
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
  }
  return {0,
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
}

// A kernel that loads a, b, c as 64 bits each, applies the form, and stores the result.
std::string kernelOf(const std::string& form, const char* signature, int number) {
  std::string text =
      ".visible .entry k" + std::to_string(number) +
      "(.param .u64 in, .param .u64 out, .param .u32 n)\n{\n.reg .pred %p<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>;\n"
      "mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ntid.x; mov.u32 %r2, %tid.x; mad.lo.s32 %r0, %r0, %r1, %r2;\n"
      "ld.param.u32 %r1, [n]; setp.ge.u32 %p0, %r0, %r1; @%p0 ret;\n"
      "ld.param.u64 %rd0, [in]; mul.wide.u32 %rd1, %r0, 24; add.s64 %rd0, %rd0, %rd1;\n"
      "ld.param.u64 %rd2, [out]; mul.wide.u32 %rd1, %r0, 8; add.s64 %rd2, %rd2, %rd1;\n";
  std::string call = form;
  std::string store;
  bool first = true;
  for (const char* p = signature; *p != '\0'; ++p) {
    if (*p == '?') {
      p += 2;  // an optional operand is left out
      continue;
    }
    const char what = *p++;
    const char width = *p;
    const int index = what == 'D' ? 0 : what - 'A' + 1;
    std::string name;
    if (what == 'D') {
      name = width == '8' ? "%rd8" : width == '1' ? "%p8" : "%r8";
      store = width == '8'   ? "st.global.u64 [%rd2], %rd8;\n"
              : width == '1' ? "selp.u32 %r8, 1, 0, %p8; st.global.u32 [%rd2], %r8;\n"
                             : "st.global.u32 [%rd2], %r8;\n";
    } else {
      const std::string address = "[%rd0+" + std::to_string(8 * (index - 1)) + "]";
      const std::string k = std::to_string(2 + index);
      if (width == '8') {
        name = "%rd" + k;
        text += "ld.global.u64 " + name + ", " + address + ";\n";
      } else {
        name = "%r" + k;
        text += "ld.global.u32 " + name + ", " + address + ";\n";
        if (width == '1') text += "and.b32 " + name + ", " + name + ", 1; setp.ne.u32 %p" + k + ", " + name + ", 0;\n";
        if (width == '1') name = "%p" + k;
      }
    }
    call += (first ? " " : ", ") + name;
    first = false;
  }
  return text + call + ";\n" + store + "ret;\n}\n";
}

bool equal(uint64_t x, uint64_t y, As as) {
  switch (as) {
    case As::bits8:
      return (x & 0xff) == (y & 0xff);
    case As::bits16:
      return (x & 0xffff) == (y & 0xffff);
    case As::float32:
      if (std::isnan(from<float>(x)) && std::isnan(from<float>(y))) return true;
      [[fallthrough]];
    case As::bits32:
    case As::predicate:
      return (x & 0xffffffff) == (y & 0xffffffff);
    case As::float64:
      if (std::isnan(from<double>(x)) && std::isnan(from<double>(y))) return true;
      [[fallthrough]];
    default:
      return x == y;
  }
}

}  // namespace

TEST(truth_tables) {
  const Table table = references();
  const auto& forms = warploom::cudasim::formTable().all();
  std::string text = ".version 8.0\n.target sm_80\n.address_size 64\n";
  std::vector<std::string> names;
  for (const auto& form : forms) {
    if (table.count(form.first) == 0) continue;
    text += kernelOf(form.first, form.second.signature, static_cast<int>(names.size()));
    names.push_back(form.first);
  }
  Sim sim(text);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::vector<uint64_t> values = edges(names[i]);
    std::vector<Inputs> inputs;
    for (uint64_t a : values) {
      for (uint64_t b : values) inputs.push_back({a, b, values[(inputs.size() * 7 + 3) % values.size()]});
    }
    const uint32_t n = static_cast<uint32_t>(inputs.size());
    const uint64_t in = sim.put(inputs), out = sim.put(std::vector<uint64_t>(n));
    sim.clean("k" + std::to_string(i), {(n + 127) / 128}, {128}, 0, in, out, n);
    const std::vector<uint64_t> results = sim.get<uint64_t>(out, n);
    const Truth& one = table.at(names[i]);
    for (uint32_t k = 0; k < n; ++k) {
      const uint64_t expected = one.reference(inputs[k]);
      if (equal(results[k], expected, one.as)) continue;
      char what[256];
      std::snprintf(what, sizeof(what), "%s(%llx, %llx, %llx) = %llx, expected %llx", names[i].c_str(),
                    static_cast<unsigned long long>(inputs[k].a), static_cast<unsigned long long>(inputs[k].b),
                    static_cast<unsigned long long>(inputs[k].c), static_cast<unsigned long long>(results[k]),
                    static_cast<unsigned long long>(expected));
      failed("truth_tables", 0, what);
      break;
    }
    sim.memory.free(in);
    sim.memory.free(out);
  }
  std::printf("%zu of %zu forms have a truth table\n", names.size(), forms.size());
  // A reference for a form that the decoder does not know is a mistake of one of the two. lo, ls, hi, hs are unsigned
  // only.
  for (const auto& entry : table) {
    const std::string& name = entry.first;
    const bool order = name.rfind("setp.lo", 0) == 0 || name.rfind("setp.ls", 0) == 0 ||
                       name.rfind("setp.hi", 0) == 0 || name.rfind("setp.hs", 0) == 0;
    const bool narrow = name == "brev.b16" || name == "popc.b16" || name == "clz.b16";
    if (forms.count(name) == 0 && !order && !narrow) failed(name.c_str(), 0, "not a form: " + name);
  }
  // These families are complete: a new form needs a reference.
  for (const auto& form : forms) {
    const std::string family = form.first.substr(0, form.first.find('.'));
    static const std::set<std::string> families = {"not", "cnot", "shl", "shr", "rem", "popc", "clz", "brev", "sad"};
    if (form.first == "not.pred") continue;
    if (families.count(family) != 0 && table.count(form.first) == 0)
      failed(form.first.c_str(), 0, "no truth table: " + form.first);
  }
}

TEST(refusals_name_line_and_instruction) {
  std::string log;
  const std::string text =
      ".version 8.0\n.target sm_80\n.address_size 64\n.entry k()\n{\n.reg .b32 %r<3>;\nvabsdiff4.u32.u32.u32 %r0, %r1, "
      "%r2, %r1;\nret;\n}\n";
  CHECK(warploom::cudasim::parseModule(text.data(), text.size(), log) == nullptr);
  CHECK(log == "line 7: vabsdiff4.u32.u32.u32: this instruction is not modelled");
  const std::string open =
      ".version 8.0\n.target sm_80\n.address_size 64\n.entry k()\n{\n.reg .b32 %r<3>;\nadd.u32 %r0, %r1, "
      "%x;\nret;\n}\n";
  CHECK(warploom::cudasim::parseModule(open.data(), open.size(), log) == nullptr || !log.empty());
  CHECK(log.find("line 7: ") == 0);
}
