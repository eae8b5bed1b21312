// Copies and fills. What the host may notice decides whether a call waits: copies to and from host memory do, those
// inside the device and fills do not.
#include <algorithm>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

uint64_t extent(const Box& box, const Work& work) {
  return (work.depth - 1) * box.slice + (work.height - 1) * box.pitch + work.width;
}

// The side of a copy that a struct describes: host, device, or unified (whatever the address says).
Box sideOf(Driver& driver, int type, const void* host, CUdeviceptr device, size_t x, size_t y, size_t z, size_t pitch,
           size_t rows, size_t width, size_t height, bool& onDevice) {
  require(type == 1 || type == 2 || type == 4, CUDA_ERROR_INVALID_VALUE);  // arrays are not modelled
  Box box;
  const uint64_t base = type == 1 ? reinterpret_cast<uint64_t>(host) : device;
  onDevice = type == 2 || (type == 4 && driver.locate(base).device != nullptr);
  box.pitch = pitch == 0 ? width : pitch;
  box.slice = box.pitch * (rows == 0 ? height : rows);
  require(box.pitch >= x + width, CUDA_ERROR_INVALID_VALUE);
  box.address = base + z * box.slice + y * box.pitch + x;
  return box;
}

Box row(uint64_t address, uint64_t bytes) { return {address, bytes, bytes}; }

void copyNow(Call& call, Work&& work) {
  if (work.width == 0 || work.height == 0 || work.depth == 0) return;
  checkLegacyUse(call, call.context->legacy);
  checkCaptures(call.driver);
  const bool inside = work.toDevice && work.fromDevice;
  const JobPtr job = submit(call, call.context->legacy, std::move(work));
  if (!inside) waitFor(call, job);
}

void copyAsync(Call& call, CUstream stream, Work&& work) {
  Stream& target = streamAt(call, stream);
  if (work.width == 0 || work.height == 0 || work.depth == 0) return;
  const bool pageableTarget = !work.toDevice && call.driver.locate(work.to.address).memory == nullptr;
  const JobPtr job = submit(call, target, std::move(work));
  // A copy to pageable memory returns only when it is done, unless a graph records it.
  if (job != nullptr && pageableTarget) waitFor(call, job);
}

bool onDevice(Call& call, uint64_t address) { return call.driver.locate(address).device != nullptr; }

Work unified(Call& call, CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return copyWork(call, row(to, bytes), onDevice(call, to), row(from, bytes), onDevice(call, from), bytes, 1, 1);
}
Work toDevice(Call& call, CUdeviceptr to, const void* from, size_t bytes) {
  return copyWork(call, row(to, bytes), true, row(reinterpret_cast<uint64_t>(from), bytes), false, bytes, 1, 1);
}
Work toHost(Call& call, void* to, CUdeviceptr from, size_t bytes) {
  return copyWork(call, row(reinterpret_cast<uint64_t>(to), bytes), false, row(from, bytes), true, bytes, 1, 1);
}
Work inside(Call& call, CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return copyWork(call, row(to, bytes), true, row(from, bytes), true, bytes, 1, 1);
}

Work copyWork2D(Call& call, const CUDA_MEMCPY2D* copy) {
  require(copy != nullptr, CUDA_ERROR_INVALID_VALUE);
  bool to = false, from = false;
  const Box source = sideOf(call.driver, copy->srcMemoryType, copy->srcHost, copy->srcDevice, copy->srcXInBytes,
                            copy->srcY, 0, copy->srcPitch, 0, copy->WidthInBytes, copy->Height, from);
  const Box target = sideOf(call.driver, copy->dstMemoryType, copy->dstHost, copy->dstDevice, copy->dstXInBytes,
                            copy->dstY, 0, copy->dstPitch, 0, copy->WidthInBytes, copy->Height, to);
  return copyWork(call, target, to, source, from, copy->WidthInBytes, copy->Height, 1);
}

template <class Value>
void fill(Call& call, CUstream stream, CUdeviceptr to, size_t pitch, Value value, size_t width, size_t height) {
  Stream& target = streamAt(call, stream);
  if (width == 0 || height == 0) return;
  submit(call, target, fillWork(call, to, pitch, value, sizeof(Value), width, height));
}

}  // namespace

Work copyWork(Call& call, const Box& to, bool toDevice, const Box& from, bool fromDevice, uint64_t width,
              uint64_t height, uint64_t depth) {
  Work work;
  work.kind = Work::Kind::copy;
  work.device = call.context == nullptr ? nullptr : call.context->device;
  work.to = to;
  work.from = from;
  work.width = width;
  work.height = height;
  work.depth = depth;
  work.toDevice = toDevice;
  work.fromDevice = fromDevice;
  if (width == 0 || height == 0 || depth == 0) return work;
  const auto check = [&](const Box& box, bool device) {
    require(box.address != 0, CUDA_ERROR_INVALID_VALUE);
    const Place place = call.driver.locate(box.address);
    // Pinned memory has a device address, too.
    if (device || place.memory != nullptr) {
      require(place.memory != nullptr && call.driver.covers(place, box.address, extent(box, work)),
              CUDA_ERROR_INVALID_VALUE);
    }
  };
  check(to, toDevice);
  check(from, fromDevice);
  return work;
}

Work copyWork3D(Call& call, const CUDA_MEMCPY3D& copy) {
  bool to = false, from = false;
  require(copy.srcLOD == 0 && copy.dstLOD == 0, CUDA_ERROR_INVALID_VALUE);
  const Box source = sideOf(call.driver, copy.srcMemoryType, copy.srcHost, copy.srcDevice, copy.srcXInBytes, copy.srcY,
                            copy.srcZ, copy.srcPitch, copy.srcHeight, copy.WidthInBytes, copy.Height, from);
  const Box target = sideOf(call.driver, copy.dstMemoryType, copy.dstHost, copy.dstDevice, copy.dstXInBytes, copy.dstY,
                            copy.dstZ, copy.dstPitch, copy.dstHeight, copy.WidthInBytes, copy.Height, to);
  return copyWork(call, target, to, source, from, copy.WidthInBytes, copy.Height, copy.Depth);
}

Work fillWork(Call& call, uint64_t to, uint64_t pitch, uint32_t value, uint32_t elementBytes, uint64_t width,
              uint64_t height) {
  Work work;
  work.kind = Work::Kind::fill;
  work.device = call.context == nullptr ? nullptr : call.context->device;
  require(elementBytes == 1 || elementBytes == 2 || elementBytes == 4, CUDA_ERROR_INVALID_VALUE);
  require(width < UINT64_MAX / elementBytes, CUDA_ERROR_INVALID_VALUE);
  work.width = width * elementBytes;
  work.height = height;
  work.to = {to, height == 1 ? work.width : pitch, 0};
  work.to.slice = work.to.pitch * height;
  work.value = value;
  work.elementBytes = elementBytes;
  require(to % elementBytes == 0 && work.to.pitch % elementBytes == 0 && work.to.pitch >= work.width,
          CUDA_ERROR_INVALID_VALUE);
  if (work.width != 0 && height != 0) {
    require(call.driver.covers(call.driver.locate(to), to, extent(work.to, work)), CUDA_ERROR_INVALID_VALUE);
  }
  return work;
}

#define COPY_NOW(name, work) return call(Api::name, 0, [&](Call& c) { copyNow(c, work); })
#define COPY_ASYNC(name, work) return call(Api::name, 0, [&](Call& c) { copyAsync(c, stream, work); })
#define FILL(name, stream, pitch, width, height) \
  return call(Api::name, 0, [&](Call& c) { fill(c, stream, to, pitch, value, width, height); })

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) { COPY_NOW(cuMemcpy, unified(c, to, from, bytes)); }
CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  COPY_ASYNC(cuMemcpyAsync, unified(c, to, from, bytes));
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  COPY_NOW(cuMemcpyHtoD_v2, toDevice(c, to, from, bytes));
}
CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  COPY_NOW(cuMemcpyDtoH_v2, toHost(c, to, from, bytes));
}
CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  COPY_NOW(cuMemcpyDtoD_v2, inside(c, to, from, bytes));
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
  COPY_ASYNC(cuMemcpyHtoDAsync_v2, toDevice(c, to, from, bytes));
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  COPY_ASYNC(cuMemcpyDtoHAsync_v2, toHost(c, to, from, bytes));
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  COPY_ASYNC(cuMemcpyDtoDAsync_v2, inside(c, to, from, bytes));
}
CUresult cuMemcpyPeer(CUdeviceptr to, CUcontext toContext, CUdeviceptr from, CUcontext fromContext, size_t bytes) {
  return call(Api::cuMemcpyPeer, 0, [&](Call& c) {
    checkSticky(*contextAt(c.driver, toContext).device);
    checkSticky(*contextAt(c.driver, fromContext).device);
    copyNow(c, inside(c, to, from, bytes));
  });
}
CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext toContext, CUdeviceptr from, CUcontext fromContext, size_t bytes,
                           CUstream stream) {
  return call(Api::cuMemcpyPeerAsync, 0, [&](Call& c) {
    checkSticky(*contextAt(c.driver, toContext).device);
    checkSticky(*contextAt(c.driver, fromContext).device);
    copyAsync(c, stream, inside(c, to, from, bytes));
  });
}
CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* copy) { COPY_NOW(cuMemcpy2D_v2, copyWork2D(c, copy)); }
CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* copy) { COPY_NOW(cuMemcpy2DUnaligned_v2, copyWork2D(c, copy)); }
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* copy, CUstream stream) {
  COPY_ASYNC(cuMemcpy2DAsync_v2, copyWork2D(c, copy));
}
CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D* copy) {
  if (copy == nullptr) return CUDA_ERROR_INVALID_VALUE;
  COPY_NOW(cuMemcpy3D_v2, copyWork3D(c, *copy));
}
CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* copy, CUstream stream) {
  if (copy == nullptr) return CUDA_ERROR_INVALID_VALUE;
  COPY_ASYNC(cuMemcpy3DAsync_v2, copyWork3D(c, *copy));
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) { FILL(cuMemsetD8_v2, nullptr, 0, count, 1); }
CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count) {
  FILL(cuMemsetD16_v2, nullptr, 0, count, 1);
}
CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) { FILL(cuMemsetD32_v2, nullptr, 0, count, 1); }
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
  FILL(cuMemsetD8Async, stream, 0, count, 1);
}
CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
  FILL(cuMemsetD16Async, stream, 0, count, 1);
}
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  FILL(cuMemsetD32Async, stream, 0, count, 1);
}
CUresult cuMemsetD2D8_v2(CUdeviceptr to, size_t pitch, unsigned char value, size_t width, size_t height) {
  FILL(cuMemsetD2D8_v2, nullptr, pitch, width, height);
}
CUresult cuMemsetD2D16_v2(CUdeviceptr to, size_t pitch, unsigned short value, size_t width, size_t height) {
  FILL(cuMemsetD2D16_v2, nullptr, pitch, width, height);
}
CUresult cuMemsetD2D32_v2(CUdeviceptr to, size_t pitch, unsigned value, size_t width, size_t height) {
  FILL(cuMemsetD2D32_v2, nullptr, pitch, width, height);
}
CUresult cuMemsetD2D8Async(CUdeviceptr to, size_t pitch, unsigned char value, size_t width, size_t height,
                           CUstream stream) {
  FILL(cuMemsetD2D8Async, stream, pitch, width, height);
}
CUresult cuMemsetD2D16Async(CUdeviceptr to, size_t pitch, unsigned short value, size_t width, size_t height,
                            CUstream stream) {
  FILL(cuMemsetD2D16Async, stream, pitch, width, height);
}
CUresult cuMemsetD2D32Async(CUdeviceptr to, size_t pitch, unsigned value, size_t width, size_t height,
                            CUstream stream) {
  FILL(cuMemsetD2D32Async, stream, pitch, width, height);
}

}  // namespace warploom::cudasim
