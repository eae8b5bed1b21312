// Modules, functions, launches and their limits, kernels in streams and graphs, and what a failed one leaves behind.
#include <cstring>

#include "driver_api.h"

using namespace warploom::test;

namespace {

// y[i] = a x[i] + y[i]; out of bounds when n is too large.
const char* const kText = R"(.version 7.0
.target sm_80
.address_size 64
.visible .global .align 4 .u32 answer = 42;
.visible .entry saxpy(.param .u64 x, .param .u64 y, .param .f32 a, .param .u32 n)
{
  .reg .pred %p<2>;
  .reg .b32 %r<5>;
  .reg .f32 %f<5>;
  .reg .b64 %rd<6>;
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  ld.param.u32 %r1, [n];
  setp.ge.u32 %p1, %r4, %r1;
  @%p1 bra DONE;
  ld.param.u64 %rd1, [x];
  ld.param.u64 %rd2, [y];
  ld.param.f32 %f1, [a];
  mul.wide.u32 %rd3, %r4, 4;
  add.s64 %rd4, %rd1, %rd3;
  add.s64 %rd5, %rd2, %rd3;
  ld.global.f32 %f2, [%rd4];
  ld.global.f32 %f3, [%rd5];
  fma.rn.f32 %f4, %f1, %f2, %f3;
  st.global.f32 [%rd5], %f4;
DONE:
  ret;
}
.visible .entry bounded(.param .u64 x)
.maxntid 64, 1, 1
{
  .shared .align 4 .b8 buffer[1024];
  ret;
}
)";

struct Setup {
  CUmodule module = nullptr;
  CUfunction saxpy = nullptr, bounded = nullptr;
  CUdeviceptr x = 0, y = 0;
  float a = 2;
  unsigned n = 1000;
  void* params[4] = {&x, &y, &a, &n};

  Setup() {
    openDevice();
    OK(CU(cuModuleLoadData)(&module, kText));
    OK(CU(cuModuleGetFunction)(&saxpy, module, "saxpy"));
    OK(CU(cuModuleGetFunction)(&bounded, module, "bounded"));
    x = deviceBytes(4000);
    y = deviceBytes(4000);
    const std::vector<float> ones(1000, 1);
    OK(CU(cuMemcpyHtoD_v2)(x, ones.data(), 4000));
    OK(CU(cuMemcpyHtoD_v2)(y, ones.data(), 4000));
  }
  CUresult launch(CUstream stream = nullptr) {
    return CU(cuLaunchKernel)(saxpy, 8, 1, 1, 128, 1, 1, 0, stream, params, nullptr);
  }
};

CUstream stream() {
  CUstream made = nullptr;
  OK(CU(cuStreamCreate)(&made, 1));
  return made;
}

}  // namespace

TEST(modules) {
  isolated({}, [] {
    Setup s;
    CUfunction none = nullptr;
    FAILS(CUDA_ERROR_NOT_FOUND, CU(cuModuleGetFunction)(&none, s.module, "nothing"));
    CUdeviceptr answer = 0;
    size_t bytes = 0;
    OK(CU(cuModuleGetGlobal_v2)(&answer, &bytes, s.module, "answer"));
    CHECK(bytes == 4 && download<int>(answer, 1)[0] == 42);
    const unsigned char elf[] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0}, fatbin[] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0};
    CUmodule module = nullptr;
    FAILS(CUDA_ERROR_NO_BINARY_FOR_GPU, CU(cuModuleLoadData)(&module, elf));
    FAILS(CUDA_ERROR_NO_BINARY_FOR_GPU, CU(cuModuleLoadData)(&module, fatbin));
    FAILS(CUDA_ERROR_INVALID_IMAGE, CU(cuModuleLoadData)(&module, ""));
    // The error log names the line; its size comes back.
    std::string wrong = kText;
    wrong.replace(wrong.find("fma.rn.f32"), 10, "frobnicate");
    char log[1000] = "";
    int options[] = {5, 6};
    void* values[] = {log, reinterpret_cast<void*>(sizeof(log))};
    FAILS(CUDA_ERROR_INVALID_PTX, CU(cuModuleLoadDataEx)(&module, wrong.c_str(), 2, options, values));
    CHECK(std::strstr(log, "frobnicate") != nullptr && std::strstr(log, "26") != nullptr);
    CHECK(reinterpret_cast<uintptr_t>(values[1]) == std::strlen(log));
    OK(CU(cuModuleUnload)(s.module));
    FAILS(CUDA_ERROR_INVALID_HANDLE, s.launch());
  });
  isolated({{"CUDASIM_DRIVER", "12000"}}, [] {
    openDevice();
    CUmodule module = nullptr;
    std::string text = kText;
    OK(CU(cuModuleLoadData)(&module, text.c_str()));
    text.replace(text.find("7.0"), 3, "9.0");
    FAILS(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, CU(cuModuleLoadData)(&module, text.c_str()));
  });
}

TEST(functionsAndOccupancy) {
  isolated({}, [] {
    Setup s;
    int value = 0;
    OK(CU(cuFuncGetAttribute)(&value, 0, s.bounded));
    CHECK(value == 64);
    OK(CU(cuFuncGetAttribute)(&value, 1, s.bounded));
    CHECK(value == 1024);
    OK(CU(cuFuncSetAttribute)(s.bounded, 8, 162 * 1024));
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuFuncSetAttribute)(s.bounded, 8, 163 * 1024));
    size_t offset = 0, size = 0;
    OK(CU(cuFuncGetParamInfo)(s.saxpy, 3, &offset, &size));
    CHECK(offset == 20 && size == 4);
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuFuncGetParamInfo)(s.saxpy, 4, &offset, &size));
    OK(CU(cuOccupancyMaxActiveBlocksPerMultiprocessor)(&value, s.saxpy, 1024, 0));
    CHECK(value == 2);
    OK(CU(cuOccupancyMaxActiveBlocksPerMultiprocessor)(&value, s.bounded, 64, 80 * 1024));
    CHECK(value == 2);
    int grid = 0, block = 0;
    OK(CU(cuOccupancyMaxPotentialBlockSize)(&grid, &block, s.bounded, nullptr, 0, 0));
    CHECK(block == 64 && grid > 0);
  });
}

TEST(launchesAndTheirLimits) {
  isolated({}, [] {
    Setup s;
    OK(s.launch());
    CHECK(download<float>(s.y, 1000) == std::vector<float>(1000, 3));
    struct {
      CUdeviceptr x, y;
      float a;
      unsigned n;
    } packed = {s.x, s.y, 1, 1000};
    size_t size = sizeof(packed);
    void* extra[] = {reinterpret_cast<void*>(1), &packed, reinterpret_cast<void*>(2), &size, nullptr};
    OK(CU(cuLaunchKernel)(s.saxpy, 8, 1, 1, 128, 1, 1, 0, nullptr, nullptr, extra));
    CHECK(download<float>(s.y, 1)[0] == 4);
    size = 8;
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuLaunchKernel)(s.saxpy, 8, 1, 1, 128, 1, 1, 0, nullptr, nullptr, extra));
    const auto tried = [&](CUfunction f, unsigned gx, unsigned gy, unsigned bx, unsigned bz, unsigned shared) {
      return CU(cuLaunchKernel)(f, gx, gy, 1, bx, 1, bz, shared, nullptr, s.params, nullptr);
    };
    FAILS(CUDA_ERROR_INVALID_VALUE, tried(s.saxpy, 0, 1, 1, 1, 0));
    FAILS(CUDA_ERROR_INVALID_VALUE, tried(s.saxpy, 1, 65536, 1, 1, 0));
    FAILS(CUDA_ERROR_INVALID_VALUE, tried(s.saxpy, 1, 1, 1025, 1, 0));
    FAILS(CUDA_ERROR_INVALID_VALUE, tried(s.saxpy, 1, 1, 1, 65, 0));
    FAILS(CUDA_ERROR_INVALID_VALUE, tried(s.saxpy, 1, 1, 512, 4, 0));
    FAILS(CUDA_ERROR_INVALID_VALUE, tried(s.saxpy, 1, 1, 1, 1, 49153));
    OK(CU(cuFuncSetAttribute)(s.saxpy, 8, 60000));
    OK(tried(s.saxpy, 1, 1, 1, 1, 60000));
    FAILS(CUDA_ERROR_INVALID_VALUE, tried(s.bounded, 1, 1, 65, 1, 0));
    OK(tried(s.bounded, 1, 1, 64, 1, 0));
    FAILS(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
          CU(cuLaunchCooperativeKernel)(s.saxpy, 1000, 1, 1, 1024, 1, 1, 0, nullptr, s.params));
    CUlaunchAttribute attribute{};
    attribute.id = 2;
    attribute.value.cooperative = 1;
    CUlaunchConfig config = {8, 1, 1, 128, 1, 1, 0, nullptr, &attribute, 1};
    OK(CU(cuLaunchKernelEx)(&config, s.saxpy, s.params, nullptr));
    attribute.id = 4;
    attribute.value.clusterDim = {2, 1, 1};
    FAILS(CUDA_ERROR_NOT_SUPPORTED, CU(cuLaunchKernelEx)(&config, s.saxpy, s.params, nullptr));
    OK(CU(cuCtxSynchronize)());
  });
}

TEST(aFailedKernelLosesTheDevice) {
  static const std::string file = temporaryFile("mem");
  isolated({{"CUDASIM_REPORT", file}}, [] {
    Setup s;
    s.n = 1001;
    OK(s.launch());  // nobody has looked yet
    FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, CU(cuCtxSynchronize)());
    FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, s.launch());
    FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, CU(cuMemFree_v2)(s.x));
    FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, CU(cuDevicePrimaryCtxReset_v2)(0));
  });
  const std::string report = slurp(file);
  CHECK(report.find("\"mem\"") != std::string::npos && report.find("saxpy") != std::string::npos);
}

TEST(kernelsWithoutADependencyAreFound) {
  isolated({{"CUDASIM_REPORT", "/dev/null"}, {"CUDASIM_SEED", "2"}}, [] {
    Setup s;
    const CUstream first = stream(), second = stream();
    OK(s.launch(first));
    OK(s.launch(second));  // both add to y
    FAILS(CUDA_ERROR_LAUNCH_FAILED, CU(cuCtxSynchronize)());
  });
  isolated({{"CUDASIM_SEED", "2"}}, [] {
    Setup s;
    const CUstream first = stream(), second = stream();
    const CUdeviceptr z = deviceBytes(4000);
    CUevent event = nullptr;
    OK(CU(cuEventCreate)(&event, 2));
    OK(CU(cuMemsetD8Async)(z, 0, 4000, second));
    OK(s.launch(first));
    const CUdeviceptr y = s.y;
    s.y = z;
    OK(s.launch(second));  // x is only read by both
    OK(CU(cuEventRecord)(event, first));
    OK(CU(cuStreamWaitEvent)(second, event, 0));
    s.x = y;
    OK(s.launch(second));
    OK(CU(cuCtxSynchronize)());
    CHECK(download<float>(z, 1)[0] == 8);
  });
}

TEST(kernelsInGraphs) {
  static const std::string file = temporaryFile("counters");
  isolated({{"CUDASIM_COUNTERS", file}}, [] {
    Setup s;
    const CUstream q = stream();
    OK(CU(cuStreamBeginCapture_v2)(q, 0));
    OK(s.launch(q));
    OK(s.launch(q));
    CUgraph graph = nullptr;
    OK(CU(cuStreamEndCapture)(q, &graph));
    CUgraphExec exec = nullptr;
    OK(CU(cuGraphInstantiateWithFlags)(&exec, graph, 0));
    OK(CU(cuGraphLaunch)(exec, q));
    OK(CU(cuGraphLaunch)(exec, q));
    OK(CU(cuStreamSynchronize)(q));
    CHECK(download<float>(s.y, 1)[0] == 9);
    CUgraphNode nodes[2];
    size_t count = 2;
    OK(CU(cuGraphGetNodes)(graph, nodes, &count));
    CUDA_KERNEL_NODE_PARAMS params{};
    OK(CU(cuGraphKernelNodeGetParams_v2)(nodes[0], &params));
    CHECK(params.func == s.saxpy && *static_cast<float*>(params.kernelParams[2]) == 2);
    float a = 100;
    void* changed[] = {&s.x, &s.y, &a, &s.n};
    params.kernelParams = changed;
    OK(CU(cuGraphExecKernelNodeSetParams_v2)(exec, nodes[0], &params));
    OK(CU(cuGraphLaunch)(exec, q));
    OK(CU(cuStreamSynchronize)(q));
    CHECK(download<float>(s.y, 1)[0] == 111);
  });
  CHECK(slurp(file).find("saxpy") != std::string::npos);
}
