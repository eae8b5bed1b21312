// The float32 functions against the C library's double ones, input by input, on every instruction set.
//
// Every 4,099th of the 2^32 bit patterns and all edges by default; WARPLOOM_TEST_STRIDE=1 takes every one (minutes on
// two cores; `npm run test:sweep` does so). An error is the distance from the exact value in units of that value's last
// place, so a result halfway between two floats counts half; the reference itself is off by about 2^-28 of one.
#include <atomic>
#include <cfloat>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "check.h"

namespace warploom::test {
namespace {

constexpr uint64_t kInputs = uint64_t{1} << 32;
constexpr uint64_t kSampleStride = 4099;  // prime: every pattern of low bits comes up

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
// Of -infinity both are 0 times infinity, NaN.
double gelu(double x) { return 0.5 * x * std::erfc(x * -0.70710678118654752440); }
double geluTanh(double x) {
  const double v = 1.59576912160573071176 * (x + 0.044715 * x * x * x);
  return x / (1 + std::exp(-v));
}

struct Function {
  const char* name;
  OpId id;
  double (*exact)(double);
  double bound;  // ulp
};

const Function kFunctions[] = {
    {"exp", OpId::exp, [](double x) { return std::exp(x); }, 2},
    {"log", OpId::log, [](double x) { return std::log(x); }, 2},
    {"tanh", OpId::tanh, [](double x) { return std::tanh(x); }, 2},
    {"erf", OpId::erf, [](double x) { return std::erf(x); }, 2},
    {"sigmoid", OpId::sigmoid, sigmoid, 2},
    // The bound of elementwise operations; 3.98 is the worst of all inputs. By tanh that is 2.27.
    {"gelu", OpId::gelu, gelu, 4},
    {"geluTanh", OpId::geluTanh, geluTanh, 2.5},
    {"sqrt", OpId::sqrt, [](double x) { return std::sqrt(x); }, 0.501},
};
constexpr std::size_t kFunctionCount = sizeof(kFunctions) / sizeof(kFunctions[0]);

float floatOf(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// |got - exact| in units in the last place of a float32 as large as exact; infinite where no distance may excuse got.
double ulpError(float got, double exact) {
  if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : INFINITY;
  const double beyond = 0x1p128;  // where float32 ends
  if (std::isinf(exact) || std::fabs(exact) > beyond * 1.000001) {
    return std::isinf(got) && std::signbit(got) == std::signbit(exact) ? 0 : INFINITY;
  }
  if ((got == 0 || exact == 0) && std::signbit(got) != std::signbit(exact)) return INFINITY;
  const double value = std::isinf(got) ? std::copysign(beyond, got) : static_cast<double>(got);
  // The exponent of a double stands in bits 52 to 62, biased by 1023; 2^(23 - exponent) is put together from it.
  uint64_t bits;
  std::memcpy(&bits, &exact, sizeof(bits));
  const uint64_t exponent = std::min<uint64_t>(1023 + 127, std::max<uint64_t>(1023 - 126, bits >> 52 & 0x7ff));
  bits = (2 * 1023 + 23 - exponent) << 52;
  double perUlp;
  std::memcpy(&perUlp, &bits, sizeof(perUlp));
  return std::fabs(value - exact) * perUlp;
}

struct Worst {
  double error = -1;
  float input = 0, got = 0;
  double exact = 0;
};

// One instruction set on one thread.
struct Engine {
  std::string isa;
  std::unique_ptr<DeviceImpl> device;
};

std::vector<Engine> openEngines() {
  std::vector<Engine> engines;
  for (cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::avx2, cpu::Isa::avx512}) {
    cpu::Options options;
    options.threads = 1;
    options.isa = cpu::isaName(isa);
    if (cpu::chooseIsa(options.isa.c_str()) != isa) continue;  // this machine lacks it
    engines.push_back({options.isa, cpu::openDevice(options, std::size_t{1} << 30)});
  }
  return engines;
}

// worst[function * engines + engine], over the inputs of a block.
void measure(std::vector<Engine>& engines, std::vector<float>& x, std::vector<Worst>& worst) {
  std::vector<double> exact(x.size());
  std::vector<float> y(x.size()), rounded(x.size());
  const std::vector<int64_t> sizes{static_cast<int64_t>(x.size())};
  for (std::size_t f = 0; f < kFunctionCount; ++f) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      exact[i] = kFunctions[f].exact(static_cast<double>(x[i]));
      rounded[i] = static_cast<float>(exact[i]);
    }
    for (std::size_t e = 0; e < engines.size(); ++e) {
      runOp(*engines[e].device, kFunctions[f].id,
            UnaryArgs{viewOf<In>(x.data(), DType::float32, sizes), viewOf<Out>(y.data(), DType::float32, sizes)});
      Worst& most = worst[f * engines.size() + e];
      for (std::size_t i = 0; i < x.size(); ++i) {
        // The nearest float itself is at most half off. Most results are that, and need no closer look.
        if (std::memcmp(&y[i], &rounded[i], sizeof(float)) == 0 && most.error >= 0.5) continue;
        const double error = ulpError(y[i], exact[i]);
        if (error > most.error) most = {error, x[i], y[i], exact[i]};
      }
    }
  }
}

void merge(std::vector<Worst>& into, const std::vector<Worst>& from) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    if (from[i].error > into[i].error) into[i] = from[i];
  }
}

void report(const std::vector<Engine>& engines, const std::vector<Worst>& worst) {
  for (std::size_t f = 0; f < kFunctionCount; ++f) {
    for (std::size_t e = 0; e < engines.size(); ++e) {
      const Worst& most = worst[f * engines.size() + e];
      std::printf("  %-8s %-8s %.4f ulp at %a (%.9g): %.9g for %.17g\n", kFunctions[f].name, engines[e].isa.c_str(),
                  most.error, static_cast<double>(most.input), static_cast<double>(most.input),
                  static_cast<double>(most.got), most.exact);
      CHECK(most.error <= kFunctions[f].bound);
    }
  }
}

// Zeros, the ends of the subnormals and of the range, infinities, NaNs of both signs, and neighbours of every power of
// two: where exponents are taken apart, off-by-ones live.
std::vector<float> edges() {
  std::vector<float> all;
  for (uint32_t sign : {0u, 0x80000000u}) {
    for (uint32_t exponent = 0; exponent < 256; ++exponent) {
      for (int32_t step = -3; step <= 3; ++step) {
        all.push_back(floatOf(sign | ((exponent << 23) + static_cast<uint32_t>(step)) % 0x80000000u));
      }
    }
    for (uint32_t bits : {0x7f800000u, 0x7fc00000u, 0x7fffffffu, 0x7f7fffffu}) all.push_back(floatOf(sign | bits));
  }
  return all;
}

uint64_t strideOf() {
  const char* text = std::getenv("WARPLOOM_TEST_STRIDE");
  const long long stride = text == nullptr ? 0 : std::atoll(text);
  return stride > 0 ? static_cast<uint64_t>(stride) : kSampleStride;
}

TEST(floatFunctionsAtTheEdges) {
  std::vector<Engine> engines = openEngines();
  std::vector<Worst> worst(kFunctionCount * engines.size());
  std::vector<float> x = edges();
  measure(engines, x, worst);
  report(engines, worst);
}

TEST(floatFunctionsOverTheirInputs) {
  const uint64_t stride = strideOf(), count = (kInputs + stride - 1) / stride;
  constexpr uint64_t kBlock = 32768;
  std::atomic<uint64_t> next{0};
  std::mutex mutex;
  std::vector<Engine> reported = openEngines();
  std::vector<Worst> worst(kFunctionCount * reported.size());
  const auto work = [&] {
    std::vector<Engine> engines = openEngines();
    std::vector<Worst> own(kFunctionCount * engines.size());
    std::vector<float> x;
    for (uint64_t first; (first = next.fetch_add(kBlock)) < count;) {
      x.clear();
      for (uint64_t i = first; i < std::min(count, first + kBlock); ++i) {
        x.push_back(floatOf(static_cast<uint32_t>(i * stride)));
      }
      measure(engines, x, own);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    merge(worst, own);
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  std::printf("every %llu%s of 2^32 inputs, %llu in all\n", static_cast<unsigned long long>(stride),
              stride == 1 ? "st" : "th", static_cast<unsigned long long>(count));
  report(reported, worst);
}

}  // namespace
}  // namespace warploom::test
