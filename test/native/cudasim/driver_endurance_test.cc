// Launches through the driver, many of them: memory stays where it is. 20,000, or CUDASIM_LAUNCHES of them.
#include <chrono>
#include <cstring>

#include "driver_api.h"

using namespace warploom::test;

namespace {

const char* const kText = R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry count(.param .u64 x, .param .u32 add)
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<4>;
  .shared .align 4 .b8 words[128];
  ld.param.u64 %rd1, [x];
  ld.param.u32 %r1, [add];
  mov.u32 %r2, %tid.x;
  mul.wide.u32 %rd2, %r2, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.u32 %r3, [%rd3];
  add.s32 %r3, %r3, %r1;
  bar.sync 0;
  st.global.u32 [%rd3], %r3;
  ret;
}
)";

int64_t residentBytes() {
  long long size = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%lld %lld", &size, &resident) != 2) resident = 0;
  if (file != nullptr) std::fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

TEST(launches_leak_nothing) {
  isolated({}, [] {
    openDevice();
    CUmodule module = nullptr;
    CUfunction kernel = nullptr;
    OK(CU(cuModuleLoadData)(&module, kText));
    OK(CU(cuModuleGetFunction)(&kernel, module, "count"));
    CUstream stream = nullptr;
    OK(CU(cuStreamCreate)(&stream, 0));
    CUdeviceptr x = deviceBytes(128);
    OK(CU(cuMemsetD8Async)(x, 0, 128, stream));
    const auto launch = CU(cuLaunchKernel);
    const char* wanted = std::getenv("CUDASIM_LAUNCHES");
    const int total = wanted == nullptr ? 20000 : std::atoi(wanted), first = 10000;
    CHECK(total > first);
    int64_t before = 0;
    unsigned sum = 0;
    int failed = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < total; ++i) {
      unsigned add = static_cast<unsigned>(i % 7);
      void* params[] = {&x, &add};
      failed += launch(kernel, 1, 1, 1, 32, 1, 1, 0, stream, params, nullptr) != CUDA_SUCCESS;
      sum += add;
      if (i % 500 == 499) failed += CU(cuStreamSynchronize)(stream) != CUDA_SUCCESS;
      if (i + 1 == first) before = residentBytes();
    }
    OK(CU(cuStreamSynchronize)(stream));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    CHECK(failed == 0);
    const int64_t grown = residentBytes() - before;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    // These keep freed memory and notes of their own; the first one looks for leaks itself.
    CHECK(before > 0);
#else
    CHECK(before > 0 && grown < (8 << 20));
#endif
    for (const unsigned value : download<unsigned>(x, 32)) CHECK(value == sum);
    std::printf("%d launches: %.0f a second on the CPU; grown by %.2f MiB after the first %d\n", total, total / seconds,
                static_cast<double>(grown) / (1 << 20), first);
  });
}
