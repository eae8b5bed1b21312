// Memory of every kind, copies in all directions, fills.
#include <numeric>

#include "driver_api.h"

using namespace warploom::test;

static std::vector<int> counting(size_t count) {
  std::vector<int> values(count);
  std::iota(values.begin(), values.end(), 1);
  return values;
}

TEST(allocations) {
  isolated({{"CUDASIM_MEMORY", "1048576"}}, [] {
    openDevice();
    CUdeviceptr address = 0, base = 0;
    size_t size = 0, free = 0, total = 0;
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemAlloc_v2)(&address, 0));
    FAILS(CUDA_ERROR_OUT_OF_MEMORY, CU(cuMemAlloc_v2)(&address, 2 << 20));
    OK(CU(cuMemAlloc_v2)(&address, 1000));
    CHECK(address % 256 == 0);
    OK(CU(cuMemGetAddressRange_v2)(&base, &size, address + 999));
    CHECK(base == address && size == 1000);
    OK(CU(cuMemGetInfo_v2)(&free, &total));
    CHECK(total == 1048576 && free < total);
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemFree_v2)(address + 256));
    OK(CU(cuMemFree_v2)(address));
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemFree_v2)(address));
    OK(CU(cuMemFree_v2)(0));
    size_t pitch = 0;
    OK(CU(cuMemAllocPitch_v2)(&address, &pitch, 100, 7, 4));
    CHECK(pitch == 512);
    FAILS(CUDA_ERROR_NOT_SUPPORTED, CU(cuMemAllocManaged)(&address, 64, 1));
  });
}

TEST(copiesInAllDirections) {
  isolated({}, [] {
    CUcontext first = openDevice(0), second = nullptr;
    OK(CU(cuDevicePrimaryCtxRetain)(&second, 1));
    const std::vector<int> values = counting(1000);
    const size_t bytes = values.size() * sizeof(int);
    CUdeviceptr a = deviceBytes(bytes), b = deviceBytes(bytes);
    OK(CU(cuCtxSetCurrent)(second));
    CUdeviceptr far = deviceBytes(bytes);
    OK(CU(cuCtxSetCurrent)(first));
    OK(CU(cuMemcpyHtoD_v2)(a, values.data(), bytes));
    OK(CU(cuMemcpyDtoD_v2)(b, a, bytes));
    CHECK(download<int>(b, 1000) == values);
    OK(CU(cuMemcpyPeer)(far, second, a, first, bytes));
    CHECK(download<int>(far, 1000) == values);
    std::vector<int> back(1000);
    OK(CU(cuMemcpy)(reinterpret_cast<CUdeviceptr>(back.data()), far, bytes));
    CHECK(back == values);
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemcpyHtoD_v2)(a, values.data(), bytes + 4));
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemcpyHtoD_v2)(reinterpret_cast<CUdeviceptr>(back.data()), back.data(), 4));
    OK(CU(cuMemcpyHtoD_v2)(a, values.data(), 0));
  });
}

TEST(boxes) {
  isolated({}, [] {
    openDevice();
    size_t pitch = 0;
    CUdeviceptr image = 0;
    OK(CU(cuMemAllocPitch_v2)(&image, &pitch, 5 * sizeof(int), 4, 4));
    OK(CU(cuMemsetD8_v2)(image, 0, pitch * 4));
    const std::vector<int> values = counting(20);
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = 1;
    copy.srcHost = values.data();
    copy.srcPitch = 20;
    copy.dstMemoryType = 2;
    copy.dstDevice = image;
    copy.dstPitch = pitch;
    copy.WidthInBytes = 20;
    copy.Height = 4;
    OK(CU(cuMemcpy2D_v2)(&copy));
    CHECK(download<int>(image + pitch, 5) == std::vector<int>({6, 7, 8, 9, 10}));
    // The middle 3 x 2 of it, back.
    std::vector<int> part(6);
    copy = {};
    copy.srcMemoryType = 4;
    copy.srcDevice = image;
    copy.srcPitch = pitch;
    copy.srcXInBytes = 4;
    copy.srcY = 1;
    copy.dstMemoryType = 1;
    copy.dstHost = part.data();
    copy.WidthInBytes = 12;
    copy.Height = 2;
    OK(CU(cuMemcpy2D_v2)(&copy));
    CHECK(part == std::vector<int>({7, 8, 9, 12, 13, 14}));
    OK(CU(cuMemsetD2D32_v2)(image + 4, pitch, 5, 2, 3));
    CHECK(download<int>(image + 2 * pitch, 4) == std::vector<int>({11, 5, 5, 14}));
  });
}

TEST(fills) {
  isolated({}, [] {
    openDevice();
    const CUdeviceptr a = deviceBytes(64);
    OK(CU(cuMemsetD32_v2)(a, 0x01020304, 16));
    OK(CU(cuMemsetD16_v2)(a + 4, 0xabcd, 2));
    OK(CU(cuMemsetD8_v2)(a + 8, 7, 4));
    const std::vector<uint32_t> got = download<uint32_t>(a, 4);
    CHECK(got == std::vector<uint32_t>({0x01020304, 0xabcdabcd, 0x07070707, 0x01020304}));
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemsetD32_v2)(a, 0, 17));
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemsetD32_v2)(a + 2, 0, 1));
  });
}

TEST(pinnedAndRegistered) {
  isolated({}, [] {
    openDevice();
    void* pinned = nullptr;
    OK(CU(cuMemHostAlloc)(&pinned, 4096, 1));
    CUdeviceptr mapped = 0;
    OK(CU(cuMemHostGetDevicePointer_v2)(&mapped, pinned, 0));
    unsigned flags = 0, type = 0;
    OK(CU(cuMemHostGetFlags)(&flags, pinned));
    CHECK((flags & 1) == 1);
    OK(CU(cuPointerGetAttribute)(&type, 2, mapped));
    CHECK(type == 1);
    std::vector<char> plain(8192);
    OK(CU(cuMemHostRegister_v2)(plain.data(), plain.size(), 0));
    FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, CU(cuMemHostRegister_v2)(plain.data(), 16, 0));
    OK(CU(cuMemHostUnregister)(plain.data()));
    FAILS(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, CU(cuMemHostUnregister)(plain.data()));
    OK(CU(cuMemFreeHost)(pinned));
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemFreeHost)(pinned));
    CUdeviceptr a = deviceBytes(16);
    OK(CU(cuPointerGetAttribute)(&type, 2, a + 8));
    CHECK(type == 2);
  });
}

TEST(pools) {
  isolated({}, [] {
    openDevice();
    CUstream stream = nullptr;
    OK(CU(cuStreamCreate)(&stream, 1));
    CUmemoryPool pool = nullptr;
    OK(CU(cuDeviceGetDefaultMemPool)(&pool, 0));
    uint64_t keep = 1 << 20, used = 0;
    OK(CU(cuMemPoolSetAttribute)(pool, 4, &keep));
    CUdeviceptr a = 0;
    OK(CU(cuMemAllocAsync)(&a, 256, stream));
    OK(CU(cuMemPoolGetAttribute)(pool, 7, &used));
    CHECK(used == 256);
    OK(CU(cuMemsetD8Async)(a, 3, 256, stream));
    std::vector<uint8_t> got(256);
    OK(CU(cuMemcpyDtoHAsync_v2)(got.data(), a, 256, stream));
    CHECK(got[255] == 3);
    OK(CU(cuMemFreeAsync)(a, stream));
    OK(CU(cuStreamSynchronize)(stream));
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemFree_v2)(a));
  });
}

TEST(reservedAndMapped) {
  isolated({}, [] {
    openDevice();
    CUmemAllocationProp prop{};
    prop.type = 1;
    prop.location = {1, 0};
    size_t granularity = 0;
    OK(CU(cuMemGetAllocationGranularity)(&granularity, &prop, 0));
    CUdeviceptr range = 0;
    OK(CU(cuMemAddressReserve)(&range, 2 * granularity, 0, 0, 0));
    unsigned long long first = 0, second = 0;
    OK(CU(cuMemCreate)(&first, granularity, &prop, 0));
    OK(CU(cuMemCreate)(&second, granularity, &prop, 0));
    OK(CU(cuMemMap)(range, granularity, 0, first, 0));
    OK(CU(cuMemMap)(range + granularity, granularity, 0, second, 0));
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuMemsetD8_v2)(range, 1, 16));  // no access yet
    CUmemAccessDesc access{{1, 0}, 3};
    OK(CU(cuMemSetAccess)(range, 2 * granularity, &access, 1));
    OK(CU(cuMemsetD8_v2)(range + granularity - 4, 9, 8));  // across the seam
    CHECK(download<uint8_t>(range + granularity - 4, 8) == std::vector<uint8_t>(8, 9));
    OK(CU(cuMemUnmap)(range, granularity));
    OK(CU(cuMemUnmap)(range + granularity, granularity));
    OK(CU(cuMemRelease)(first));
    OK(CU(cuMemRelease)(second));
    OK(CU(cuMemAddressFree)(range, 2 * granularity));
  });
}

TEST(leaksAreReported) {
  static const std::string file = temporaryFile("leaks");
  isolated({{"CUDASIM_LEAKS", "1"}, {"CUDASIM_REPORT", file}}, [] {
    openDevice();
    deviceBytes(4321);
    OK(CU(cuMemFree_v2)(deviceBytes(99)));
  });
  const std::string report = slurp(file);
  CHECK(report.find("4321 bytes") != std::string::npos && report.find("\"mem\"") != std::string::npos);
  CHECK(report.find("99 bytes") == std::string::npos);
}
