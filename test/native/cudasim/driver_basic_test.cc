// Initialisation, devices, contexts, the table of functions, posing as an older driver, failures on demand.
#include <cstring>

#include "driver_api.h"

using namespace warploom::test;

TEST(nothingWorksBeforeInit) {
  isolated({}, [] {
    int count = 0;
    FAILS(CUDA_ERROR_NOT_INITIALIZED, CU(cuDeviceGetCount)(&count));
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuInit)(1));
    OK(CU(cuInit)(0));
    OK(CU(cuInit)(0));
    OK(CU(cuDeviceGetCount)(&count));
    CHECK(count == 2);
    int version = 0;
    OK(CU(cuDriverGetVersion)(&version));
    CHECK(version == 13000);
    CHECK(std::strlen(CU(cudasimVersion)()) > 0);
  });
}

TEST(devicesSayWhatTheyAre) {
  isolated({{"CUDASIM_MEMORY", "1048576"}}, [] {
    OK(CU(cuInit)(0));
    char name[100];
    OK(CU(cuDeviceGetName)(name, sizeof(name), 1));
    CHECK(std::string(name) == "Simulated GPU (PTX interpreter on the CPU)");
    int value = 0;
    OK(CU(cuDeviceGetAttribute)(&value, 75, 0));
    CHECK(value == 8);
    OK(CU(cuDeviceGetAttribute)(&value, 97, 0));
    CHECK(value == 163 * 1024);
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuDeviceGetAttribute)(&value, 1000, 0));
    FAILS(CUDA_ERROR_INVALID_DEVICE, CU(cuDeviceGetAttribute)(&value, 75, 2));
    size_t bytes = 0;
    OK(CU(cuDeviceTotalMem_v2)(&bytes, 0));
    CHECK(bytes == 1048576);
    CUuuid first, second;
    OK(CU(cuDeviceGetUuid_v2)(&first, 0));
    OK(CU(cuDeviceGetUuid_v2)(&second, 1));
    CHECK(std::memcmp(&first, &second, 16) != 0);
    char bus[16];
    CUdevice device = -1;
    OK(CU(cuDeviceGetPCIBusId)(bus, sizeof(bus), 1));
    OK(CU(cuDeviceGetByPCIBusId)(&device, bus));
    CHECK(device == 1);
  });
}

TEST(contexts) {
  isolated({}, [] {
    OK(CU(cuInit)(0));
    CUdeviceptr address = 0;
    FAILS(CUDA_ERROR_INVALID_CONTEXT, CU(cuMemAlloc_v2)(&address, 16));
    CUcontext first = openDevice(0), again = nullptr, current = nullptr, other = nullptr;
    OK(CU(cuDevicePrimaryCtxRetain)(&again, 0));
    CHECK(again == first);
    OK(CU(cuDevicePrimaryCtxRetain)(&other, 1));
    OK(CU(cuCtxPushCurrent_v2)(other));
    CUdevice device = -1;
    OK(CU(cuCtxGetDevice)(&device));
    CHECK(device == 1);
    OK(CU(cuCtxPopCurrent_v2)(&current));
    CHECK(current == other);
    OK(CU(cuCtxGetCurrent)(&current));
    CHECK(current == first);
    OK(CU(cuCtxSynchronize)());
    OK(CU(cuDevicePrimaryCtxRelease_v2)(0));
    OK(CU(cuCtxSynchronize)());
    OK(CU(cuDevicePrimaryCtxRelease_v2)(0));
    FAILS(CUDA_ERROR_INVALID_CONTEXT, CU(cuDevicePrimaryCtxRelease_v2)(0));
    FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, CU(cuCtxSynchronize)());
  });
}

TEST(namesOfErrors) {
  isolated({}, [] {
    const char* text = nullptr;
    OK(CU(cuGetErrorName)(700, &text));
    CHECK(std::string(text) == "CUDA_ERROR_ILLEGAL_ADDRESS");
    OK(CU(cuGetErrorString)(2, &text));
    CHECK(std::string(text) == "out of memory");
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuGetErrorName)(12345, &text));
    CHECK(text == nullptr);
  });
}

TEST(addressesOfFunctions) {
  isolated({}, [] {
    void *found = nullptr, *exported = reinterpret_cast<void*>(CU(cuMemAlloc_v2));
    int status = -1;
    OK(CU(cuGetProcAddress_v2)("cuMemAlloc", &found, 12000, 0, &status));
    CHECK(found == exported && status == 0);
    OK(CU(cuGetProcAddress_v2)("cuMemAlloc_v2", &found, 12000, 0, &status));
    CHECK(found == exported && status == 0);
    OK(CU(cuGetProcAddress_v2)("cuLaunchKernel", &found, 12000, 0, &status));
    CHECK(found != nullptr);
    OK(CU(cuGetProcAddress_v2)("cuStreamGetCaptureInfo", &found, 12000, 0, &status));
    CHECK(found == reinterpret_cast<void*>(CU(cuStreamGetCaptureInfo_v2)));
    OK(CU(cuGetProcAddress_v2)("cuStreamGetCaptureInfo", &found, 13000, 0, &status));
    CHECK(found == reinterpret_cast<void*>(CU(cuStreamGetCaptureInfo_v3)));
    OK(CU(cuGetProcAddress_v2)("cuNoSuchThing", &found, 13000, 0, &status));
    CHECK(found == nullptr && status == 1);
    FAILS(CUDA_ERROR_NOT_FOUND, CU(cuGetProcAddress)("cuNoSuchThing", &found, 13000, 0));
  });
}

TEST(posesAsAnOlderDriver) {
  isolated({{"CUDASIM_DRIVER", "12000"}}, [] {
    int version = 0, status = -1;
    OK(CU(cuDriverGetVersion)(&version));
    CHECK(version == 12000);
    openDevice();
    void* found = &version;
    OK(CU(cuGetProcAddress_v2)("cuFuncGetName", &found, 13000, 0, &status));
    CHECK(found == nullptr && status == 2);
    OK(CU(cuGetProcAddress_v2)("cuEventElapsedTime", &found, 13000, 0, &status));
    CHECK(found == reinterpret_cast<void*>(CU(cuEventElapsedTime)));
    unsigned count = 0;
    FAILS(CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, CU(cuModuleGetFunctionCount)(&count, nullptr));
  });
}

TEST(failsOnDemand) {
  isolated({{"CUDASIM_FAIL", "cuMemAlloc_v2:2:2,cuStreamCreate:1+:999"}}, [] {
    openDevice();
    CUdeviceptr address = 0;
    OK(CU(cuMemAlloc_v2)(&address, 16));
    FAILS(CUDA_ERROR_OUT_OF_MEMORY, CU(cuMemAlloc_v2)(&address, 16));
    OK(CU(cuMemAlloc_v2)(&address, 16));
    CUstream stream = nullptr;
    for (int i = 0; i < 3; ++i) FAILS(CUDA_ERROR_UNKNOWN, CU(cuStreamCreate)(&stream, 0));
  });
  isolated({{"CUDASIM_FAIL", "cuNoSuchThing:1:2"}}, [] { FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuInit)(0)); });
}
