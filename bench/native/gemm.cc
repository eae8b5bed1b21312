// Our float32 products beside oneDNN's and OpenBLAS's sgemm, in one process, in turns, and beside the peak that is
// measured between them. `gemm THREADS [PART OF A NAME] [SECONDS PER SHAPE]` prints one line of JSON per shape: best
// and median GFLOP/s of each that is installed. The peers are opened with dlopen: nothing of ours needs them.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "cpu/backend.h"
#include "cpu/thread_pool.h"
#include "engine/backend.h"
#include "engine/ops.h"
#include "fma.h"

using namespace warploom;

namespace {

// y[m, n] = a b; a transposed operand lies in memory as its transpose.
struct Shape {
  std::string name;
  int64_t m, n, k;
  bool transposeA, transposeB;
};

std::vector<Shape> allShapes() {
  std::vector<Shape> all;
  for (const int64_t n : {64, 128, 256, 512, 1024, 2048}) {
    all.push_back({"cube " + std::to_string(n), n, n, n, false, false});
  }
  all.push_back({"streaming 32x1024x4096", 32, 1024, 4096, false, false});
  // Layers of models: y = x w^T with w [out, in], dx = dy w, dw = dy^T x.
  struct Layer {
    const char* name;
    int64_t rows, in, out;
  };
  for (const Layer& l : {Layer{"mlp", 128, 784, 512}, Layer{"gpt qkv", 1024, 128, 384}, Layer{"gpt up", 1024, 128, 512},
                         Layer{"gpt down", 1024, 512, 128}, Layer{"gpt head", 1024, 128, 256}}) {
    const std::string name =
        std::string(l.name) + " " + std::to_string(l.rows) + "x" + std::to_string(l.in) + "x" + std::to_string(l.out);
    all.push_back({name + " y", l.rows, l.out, l.in, false, true});
    all.push_back({name + " dx", l.rows, l.in, l.out, false, false});
    all.push_back({name + " dw", l.out, l.in, l.rows, true, false});
  }
  return all;
}

// Numbers in memory as tensors have it: the engine's blocks, aligned and, where they are large, on large pages.
class Numbers {
 public:
  Numbers(DeviceImpl& device, int64_t count)
      : device_(device),
        count_(count),
        data_(static_cast<float*>(device.allocate(static_cast<std::size_t>(count) * sizeof(float)))) {
    if (data_ == nullptr) throw std::bad_alloc();
    std::fill(begin(), end(), 0.0f);
  }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;
  ~Numbers() { device_.release(data_, static_cast<std::size_t>(count_) * sizeof(float)); }
  float* data() const { return data_; }
  float* begin() const { return data_; }
  float* end() const { return data_ + count_; }

 private:
  DeviceImpl& device_;
  int64_t count_;
  float* data_;
};

struct Matrices {
  Numbers a, b, y;
  Matrices(DeviceImpl& device, const Shape& s) : a(device, s.m * s.k), b(device, s.k * s.n), y(device, s.m * s.n) {
    uint32_t state = 1;
    for (Numbers* v : {&a, &b}) {
      for (float& x : *v) {
        state = state * 1664525u + 1013904223u;
        x = static_cast<float>(state >> 8) / static_cast<float>(1 << 24) - 0.5f;
      }
    }
  }
};

// One that can multiply, with its times.
struct Contender {
  const char* name;
  std::function<void(const Shape&, Matrices&)> multiply;
  std::vector<double> seconds;
};

class Ours {
 public:
  explicit Ours(int threads) {
    cpu::Options options;
    options.threads = threads;
    if (const char* isa = std::getenv("WARPLOOM_ISA")) options.isa = isa;
    device_ = cpu::openDevice(options, std::size_t{1} << 34);
  }
  DeviceImpl& device() { return *device_; }
  void multiply(const Shape& s, Matrices& x) {
    MatmulArgs args = {};
    view(args.a, x.a.data(), s.m, s.k, s.transposeA);
    view(args.b, x.b.data(), s.k, s.n, s.transposeB);
    view(args.y, x.y.data(), s.m, s.n, false);
    args.bias.rank = args.pre.rank = -1;
    const OpEntry* entry = device_->op(static_cast<int>(OpId::matmul));
    Context& context = device_->context();
    const auto bytes = static_cast<std::size_t>(entry->scratchBytes(&args, context.lanes()));
    if (bytes > scratchBytes_) {  // kept, as the engine's allocator keeps it
      if (scratch_) device_->release(scratch_, scratchBytes_);
      scratch_ = device_->allocate(bytes);
      scratchBytes_ = bytes;
    }
    context.scratch_ = scratch_;
    entry->run(&args, context);
  }

 private:
  static void view(View& v, float* data, int64_t rows, int64_t cols, bool transposed) {
    v.data = data;
    v.dtype = DType::float32;
    v.rank = 2;
    v.sizes[0] = rows;
    v.sizes[1] = cols;
    v.strides[0] = transposed ? 1 : cols;
    v.strides[1] = transposed ? rows : 1;
  }
  std::unique_ptr<DeviceImpl> device_;
  void* scratch_ = nullptr;
  std::size_t scratchBytes_ = 0;
};

template <class Fn>
Fn symbolOf(void* library, const char* name) {
  return library ? reinterpret_cast<Fn>(dlsym(library, name)) : nullptr;
}

// The peers, those that are installed. Both run on the threads of libgomp.
void addPeers(std::vector<Contender>& all, int threads) {
  if (auto set = symbolOf<void (*)(int)>(dlopen("libgomp.so.1", RTLD_NOW | RTLD_GLOBAL), "omp_set_num_threads")) {
    set(threads);
  }
  using Sgemm = int (*)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*, int64_t,
                        float, float*, int64_t);
  void* onednn = nullptr;
  for (const char* file : {"libdnnl.so.3", "libdnnl.so.2"}) {
    if (onednn == nullptr) onednn = dlopen(file, RTLD_NOW);
  }
  if (const auto sgemm = symbolOf<Sgemm>(onednn, "dnnl_sgemm")) {
    all.push_back({"onednn",
                   [sgemm](const Shape& s, Matrices& x) {
                     sgemm(s.transposeA ? 'T' : 'N', s.transposeB ? 'T' : 'N', s.m, s.n, s.k, 1.0f, x.a.data(),
                           s.transposeA ? s.m : s.k, x.b.data(), s.transposeB ? s.k : s.n, 0.0f, x.y.data(), s.n);
                   },
                   {}});
  }
  using Cblas = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
  void* openblas = nullptr;
  // With pthreads of its own it is many times slower where cores are wanted by others.
  for (const char* file : {"/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblas.so.0", "libopenblas.so.0"}) {
    if (openblas == nullptr) openblas = dlopen(file, RTLD_NOW);
  }
  if (const auto set = symbolOf<void (*)(int)>(openblas, "openblas_set_num_threads")) set(threads);
  if (const auto sgemm = symbolOf<Cblas>(openblas, "cblas_sgemm")) {
    all.push_back({"openblas",
                   [sgemm](const Shape& s, Matrices& x) {
                     constexpr int rowMajor = 101, plain = 111, transposed = 112;
                     const auto i = [](int64_t n) { return static_cast<int>(n); };
                     sgemm(rowMajor, s.transposeA ? transposed : plain, s.transposeB ? transposed : plain, i(s.m),
                           i(s.n), i(s.k), 1.0f, x.a.data(), i(s.transposeA ? s.m : s.k), x.b.data(),
                           i(s.transposeB ? s.k : s.n), 0.0f, x.y.data(), i(s.n));
                   },
                   {}});
  }
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

volatile float sink;

// GFLOP/s of multiply-adds in registers, on all threads at once.
double measurePeak(cpu::ThreadPool& pool) {
  constexpr long steps = 200'000;
  const auto work = [](void*, int64_t, int) { sink = multiply(steps); };
  // Several chunks a thread, so that a late start of the other thread is not counted in full.
  const int64_t chunks = 8 * pool.lanes();
  const double from = now();
  pool.run(chunks, nullptr, work, nullptr);
  return fmaFlops(steps) * static_cast<double>(chunks) / (now() - from) * 1e-9;
}

// One contender's turn: a call that wakes its threads and brings the operands near, then timed ones for `budget`
// seconds.
void takeTurn(Contender& c, const Shape& s, Matrices& x, double budget) {
  // Threads of the one before may still be spinning.
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  c.multiply(s, x);
  const double end = now() + budget;
  double from = now();
  do {
    c.multiply(s, x);
    const double to = now();
    c.seconds.push_back(to - from);
    from = to;
  } while (from < end);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const char* part = argc > 2 ? argv[2] : "";
  const double seconds = argc > 3 ? std::atof(argv[3]) : 1.0;
  setenv("GOMP_SPINCOUNT", "20000", 0);  // the peers' threads still meet spinning, and are gone when ours come
  Ours ours(threads);
  cpu::ThreadPool pool(threads);
  std::vector<Contender> all = {{"warploom", [&](const Shape& s, Matrices& x) { ours.multiply(s, x); }, {}}};
  addPeers(all, threads);
  for (const Shape& s : allShapes()) {
    if (s.name.find(part) == std::string::npos) continue;
    Matrices x(ours.device(), s);
    double peak = 0;
    for (Contender& c : all) c.seconds.clear();
    constexpr int rounds = 5;
    for (int round = 0; round < rounds; ++round) {
      peak = std::max(peak, measurePeak(pool));
      for (Contender& c : all) takeTurn(c, s, x, seconds / rounds / static_cast<double>(all.size()));
    }
    const double flops = 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
    std::printf("{\"shape\": \"%s\", \"threads\": %d, \"peak\": %.1f", s.name.c_str(), threads, peak);
    for (Contender& c : all) {
      std::sort(c.seconds.begin(), c.seconds.end());
      std::printf(", \"%s\": {\"best\": %.1f, \"median\": %.1f}", c.name, flops / c.seconds.front() * 1e-9,
                  flops / c.seconds[c.seconds.size() / 2] * 1e-9);
    }
    std::printf("}\n");
    std::fflush(stdout);
  }
}
