// Streams run as late as they may; events are the only order between them; what lacks one is reported.
#include <atomic>
#include <chrono>
#include <thread>

#include "driver_api.h"

using namespace warploom::test;

namespace {
struct Pinned {
  int* data = nullptr;
  explicit Pinned(size_t count) {
    void* memory = nullptr;
    OK(CU(cuMemHostAlloc)(&memory, count * sizeof(int), 0));
    data = static_cast<int*>(memory);
  }
};
CUstream stream(unsigned flags = 1) {
  CUstream made = nullptr;
  OK(CU(cuStreamCreate)(&made, flags));
  return made;
}
CUevent event(unsigned flags = 0) {
  CUevent made = nullptr;
  OK(CU(cuEventCreate)(&made, flags));
  return made;
}
}  // namespace

TEST(asynchronousCopiesRunLate) {
  isolated({}, [] {
    openDevice();
    const CUstream s = stream();
    const CUdeviceptr a = deviceBytes(64);
    Pinned source(16), target(16);
    for (int i = 0; i < 16; ++i) source.data[i] = i, target.data[i] = 77;
    OK(CU(cuMemcpyHtoDAsync_v2)(a, source.data, 64, s));
    source.data[3] = 1000;  // too early: the copy has not run
    OK(CU(cuMemcpyDtoHAsync_v2)(target.data, a, 64, s));
    CHECK(target.data[5] == -1);  // poisoned until it is done
    FAILS(CUDA_ERROR_NOT_READY, CU(cuStreamQuery)(s));
    OK(CU(cuStreamSynchronize)(s));
    CHECK(target.data[5] == 5 && target.data[3] == 1000);
    OK(CU(cuStreamQuery)(s));
    // Pageable memory is read before the call returns.
    int plain = 42;
    OK(CU(cuMemcpyHtoDAsync_v2)(a, &plain, 4, s));
    plain = 43;
    OK(CU(cuStreamSynchronize)(s));
    CHECK(download<int>(a, 1)[0] == 42);
  });
}

TEST(askingMovesTheWorkOn) {
  isolated({}, [] {
    openDevice();
    const CUstream s = stream();
    const CUdeviceptr a = deviceBytes(64);
    const CUevent done = event(2);
    OK(CU(cuEventQuery)(done));  // never recorded counts as reached
    for (int i = 0; i < 5; ++i) OK(CU(cuMemsetD8Async)(a, 1, 64, s));
    OK(CU(cuEventRecord)(done, s));
    int asked = 0;
    while (CU(cuEventQuery)(done) == CUDA_ERROR_NOT_READY && asked < 100) ++asked;
    CHECK(asked == 6);
  });
}

TEST(eventsOrderStreamsForEverySeed) {
  for (const char* seed : {"0", "1", "2", "3", "4", "5"}) {
    isolated({{"CUDASIM_SEED", seed}, {"CUDASIM_REPORT", "/dev/null"}}, [] {
      openDevice();
      const CUstream first = stream(), second = stream();
      const CUdeviceptr a = deviceBytes(64), b = deviceBytes(64);
      const CUevent written = event();
      OK(CU(cuMemsetD32Async)(a, 1, 16, first));
      OK(CU(cuEventRecord)(written, first));
      OK(CU(cuStreamWaitEvent)(second, written, 0));
      OK(CU(cuMemcpyDtoDAsync_v2)(b, a, 64, second));
      OK(CU(cuStreamSynchronize)(second));
      CHECK(download<int>(b, 1)[0] == 1);
      OK(CU(cuCtxSynchronize)());
    });
  }
}

TEST(missingDependencyIsFound) {
  static const std::string file = temporaryFile("sync");
  for (const char* seed : {"0", "1", "2", "3"}) {
    isolated({{"CUDASIM_SEED", seed}, {"CUDASIM_REPORT", file}}, [] {
      openDevice();
      const CUstream first = stream(), second = stream();
      const CUdeviceptr a = deviceBytes(64), b = deviceBytes(64);
      OK(CU(cuMemsetD32Async)(a, 1, 16, first));
      OK(CU(cuMemcpyDtoDAsync_v2)(b, a, 64, second));
      FAILS(CUDA_ERROR_LAUNCH_FAILED, CU(cuCtxSynchronize)());
      CUdeviceptr more = 0;
      FAILS(CUDA_ERROR_LAUNCH_FAILED, CU(cuMemAlloc_v2)(&more, 16));  // lost until the process ends
      CUcontext other = nullptr;
      OK(CU(cuDevicePrimaryCtxRetain)(&other, 1));  // the other device is not
    });
    const std::string report = slurp(file);
    CHECK(report.find("\"sync\"") != std::string::npos && report.find("memset") != std::string::npos);
  }
  // Both read, or each its own half: no finding. A host wait between is an order, too.
  isolated({}, [] {
    openDevice();
    const CUstream first = stream(), second = stream();
    const CUdeviceptr a = deviceBytes(64), b = deviceBytes(64);
    OK(CU(cuMemsetD32Async)(a, 1, 16, first));
    OK(CU(cuStreamSynchronize)(first));
    OK(CU(cuMemcpyDtoDAsync_v2)(b, a, 32, first));
    OK(CU(cuMemcpyDtoDAsync_v2)(b + 32, a, 32, second));
    OK(CU(cuCtxSynchronize)());
  });
  isolated({{"CUDASIM_CHECK", "none"}}, [] {
    openDevice();
    const CUstream first = stream(), second = stream();
    const CUdeviceptr a = deviceBytes(64);
    OK(CU(cuMemsetD32Async)(a, 1, 16, first));
    OK(CU(cuMemsetD32Async)(a, 2, 16, second));
    OK(CU(cuCtxSynchronize)());
  });
}

TEST(legacyStreamWaitsForBlockingOnes) {
  isolated({{"CUDASIM_SEED", "9"}}, [] {
    openDevice();
    const CUstream blocking = stream(0);
    const CUdeviceptr a = deviceBytes(64);
    OK(CU(cuMemsetD32Async)(a, 1, 16, blocking));
    OK(CU(cuMemsetD32Async)(a, 2, 8, nullptr));
    OK(CU(cuMemsetD32Async)(a, 3, 4, blocking));
    const std::vector<int> got = download<int>(a, 16);
    CHECK(got[0] == 3 && got[7] == 2 && got[8] == 1);
    OK(CU(cuMemsetD32Async)(a, 4, 16, reinterpret_cast<CUstream>(2)));  // the thread's own
    CHECK(download<int>(a, 1)[0] == 4);
  });
}

TEST(hostFunctionsRunInOrderAndWithoutACall) {
  isolated({}, [] {
    openDevice();
    const CUstream s = stream();
    static std::atomic<int> seen{0}, refused{0};
    const auto count = [](void* value) {
      seen = seen * 10 + *static_cast<int*>(value);
      CUdeviceptr address = 0;
      refused = CU(cuMemAlloc_v2)(&address, 16);
    };
    int one = 1, two = 2;
    OK(CU(cuLaunchHostFunc)(s, count, &one));
    OK(CU(cuLaunchHostFunc)(s, count, &two));
    OK(CU(cuStreamSynchronize)(s));
    CHECK(seen == 12 && refused == CUDA_ERROR_NOT_PERMITTED);
    // Nobody calls the driver, and still it comes.
    seen = 0;
    OK(CU(cuLaunchHostFunc)(s, count, &two));
    for (int i = 0; i < 500 && seen == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(seen == 2);
    static std::atomic<int> status{-1};
    OK(CU(cuStreamAddCallback)(
        s, [](CUstream, CUresult code, void*) { status = code; }, nullptr, 0));
    OK(CU(cuStreamSynchronize)(s));
    CHECK(status == 0);
  });
}

TEST(eventsHaveTimes) {
  isolated({}, [] {
    openDevice();
    const CUstream s = stream();
    const CUevent start = event(), end = event(), untimed = event(2);
    float milliseconds = -1;
    OK(CU(cuEventRecord)(start, s));
    OK(CU(cuEventRecord)(end, s));
    OK(CU(cuEventRecord)(untimed, s));
    FAILS(CUDA_ERROR_NOT_READY, CU(cuEventElapsedTime)(&milliseconds, start, end));
    OK(CU(cuEventSynchronize)(end));
    OK(CU(cuEventElapsedTime_v2)(&milliseconds, start, end));
    CHECK(milliseconds >= 0);
    OK(CU(cuStreamSynchronize)(s));
    FAILS(CUDA_ERROR_INVALID_HANDLE, CU(cuEventElapsedTime)(&milliseconds, start, untimed));
    OK(CU(cuEventDestroy_v2)(end));
    FAILS(CUDA_ERROR_INVALID_HANDLE, CU(cuEventQuery)(end));
    OK(CU(cuStreamDestroy_v2)(s));
    FAILS(CUDA_ERROR_INVALID_HANDLE, CU(cuStreamSynchronize)(s));
  });
}

TEST(useBehindAQueuedFreeIsFound) {
  static const std::string file = temporaryFile("free");
  isolated({{"CUDASIM_REPORT", file}}, [] {
    openDevice();
    const CUstream s = stream();
    CUdeviceptr a = 0;
    OK(CU(cuMemAllocAsync)(&a, 256, s));
    OK(CU(cuMemFreeAsync)(a, s));
    OK(CU(cuMemsetD8Async)(a, 3, 256, s));
    FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, CU(cuStreamSynchronize)(s));
  });
  CHECK(slurp(file).find("freed") != std::string::npos);
}

TEST(manyThreadsManyJobs) {
  isolated({{"CUDASIM_SEED", "3"}}, [] {
    const CUcontext context = openDevice();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([context, t] {
        OK(CU(cuCtxSetCurrent)(context));
        const CUstream s = stream();
        const CUdeviceptr a = deviceBytes(64);
        for (int i = 0; i < 3000; ++i) OK(CU(cuMemsetD32Async)(a, static_cast<unsigned>(i * 4 + t), 16, s));
        std::vector<int> got(16);
        OK(CU(cuMemcpyDtoHAsync_v2)(got.data(), a, 64, s));
        CHECK(got[15] == 2999 * 4 + t);
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
}
