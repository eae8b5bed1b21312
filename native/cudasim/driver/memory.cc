// Device memory and pinned host memory. Freeing waits for the device, as real drivers do; the stream-ordered pools are
// in pool.cc.
#include <cstring>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

uint64_t allocate(Device& device, size_t bytes) {
  require(bytes != 0, CUDA_ERROR_INVALID_VALUE);
  const uint64_t address = device.memory->alloc(bytes);
  require(address != 0, CUDA_ERROR_OUT_OF_MEMORY);
  return address;
}

// The start of the live allocation that holds an address, with the memory that owns it.
const Allocation& allocationAt(Driver& driver, uint64_t address, Place& place) {
  place = driver.locate(address);
  require(place.memory != nullptr, CUDA_ERROR_INVALID_VALUE);
  return *place.memory->findLive(address, 1);
}

void* allocateHost(Call& call, size_t bytes, unsigned flags) {
  require(bytes != 0 && flags < 8, CUDA_ERROR_INVALID_VALUE);
  Memory& memory = *call.driver.host;
  const uint64_t address = memory.alloc(bytes, AllocationKind::pinned);
  require(address != 0, CUDA_ERROR_OUT_OF_MEMORY);
  memory.setInitialised(address, bytes);  // what the host writes cannot be seen from here
  call.driver.hostFlags[address] = flags;
  return reinterpret_cast<void*>(address);
}

void pointerAttribute(Call& call, void* data, int attribute, CUdeviceptr address) {
  require(data != nullptr, CUDA_ERROR_INVALID_VALUE);
  Place place;
  const Allocation& allocation = allocationAt(call.driver, address, place);
  const bool device = place.device != nullptr;
  const auto put = [&](auto value) { std::memcpy(data, &value, sizeof(value)); };
  switch (attribute) {
    case 1:
      return put(device ? place.device->primary : call.context);
    case 2:
      return put(device ? 2u : 1u);
    case 3:
      return put(address);
    case 4:
      require(!device, CUDA_ERROR_INVALID_VALUE);
      return put(address);
    case 6:
      return put(0);
    case 7:
      return put(static_cast<unsigned long long>(allocation.id));
    case 8:
      return put(0u);
    case 9:
      return put(device ? place.device->ordinal : call.context == nullptr ? 0 : call.context->device->ordinal);
    case 10:
      return put(0u);
    case 11:
      return put(static_cast<CUdeviceptr>(allocation.address));
    case 12:
      return put(static_cast<size_t>(allocation.size));
    case 13:
      return put(1u);
    case 17: {
      const auto pool = call.driver.pooled.find(allocation.address);
      return put(pool == call.driver.pooled.end() ? nullptr : pool->second);
    }
    default:
      throw ApiError{CUDA_ERROR_NOT_SUPPORTED};
  }
}

}  // namespace

CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  return call(Api::cuMemGetInfo_v2, 0, [&](Call& c) {
    const Memory& memory = *c.device().memory;
    if (free != nullptr) *free = memory.capacity() - memory.used();
    if (total != nullptr) *total = memory.capacity();
  });
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  return call(Api::cuMemAlloc_v2, kUnsafe, [&](Call& c) {
    require(address != nullptr, CUDA_ERROR_INVALID_VALUE);
    *address = allocate(c.device(), bytes);
  });
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* address, size_t* pitch, size_t widthInBytes, size_t height,
                            unsigned elementSize) {
  return call(Api::cuMemAllocPitch_v2, kUnsafe, [&](Call& c) {
    require(address != nullptr && pitch != nullptr && widthInBytes != 0 && height != 0, CUDA_ERROR_INVALID_VALUE);
    require(elementSize == 4 || elementSize == 8 || elementSize == 16, CUDA_ERROR_INVALID_VALUE);
    require(widthInBytes < (size_t{1} << 40) && height < (size_t{1} << 20), CUDA_ERROR_OUT_OF_MEMORY);
    const size_t row = (widthInBytes + 511) / 512 * 512;
    *address = allocate(c.device(), row * height);
    *pitch = row;
  });
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  return call(Api::cuMemFree_v2, kUnsafe, [&](Call& c) {
    if (address == 0) return;
    const Place place = c.driver.locate(address);
    require(place.device != nullptr, CUDA_ERROR_INVALID_VALUE);
    c.schedule().drain(c.lock, place.device);
    checkSticky(*place.device);
    require(c.driver.mappings.count(address) == 0, CUDA_ERROR_INVALID_VALUE);
    const Allocation* allocation = place.memory->findLive(address, 1);
    require(allocation != nullptr && allocation->kind == AllocationKind::device, CUDA_ERROR_INVALID_VALUE);
    const auto pooled = c.driver.pooled.find(address);
    if (pooled != c.driver.pooled.end()) {
      pooled->second->used -= allocation->size;
      c.driver.pooled.erase(pooled);
    }
    require(place.memory->free(address), CUDA_ERROR_INVALID_VALUE);
  });
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* size, CUdeviceptr address) {
  return call(Api::cuMemGetAddressRange_v2, 0, [&](Call& c) {
    const Place place = c.driver.locate(address);
    require(place.memory != nullptr, CUDA_ERROR_NOT_FOUND);
    const Allocation* allocation = place.memory->findLive(address, 1);
    if (base != nullptr) *base = allocation->address;
    if (size != nullptr) *size = allocation->size;
  });
}

CUresult cuMemHostAlloc(void** data, size_t bytes, unsigned flags) {
  return call(Api::cuMemHostAlloc, kUnsafe, [&](Call& c) {
    require(data != nullptr, CUDA_ERROR_INVALID_VALUE);
    *data = allocateHost(c, bytes, flags);
  });
}

CUresult cuMemAllocHost_v2(void** data, size_t bytes) {
  return call(Api::cuMemAllocHost_v2, kUnsafe, [&](Call& c) {
    require(data != nullptr, CUDA_ERROR_INVALID_VALUE);
    *data = allocateHost(c, bytes, 0);
  });
}

CUresult cuMemFreeHost(void* data) {
  return call(Api::cuMemFreeHost, kUnsafe, [&](Call& c) {
    if (data == nullptr) return;
    const auto address = reinterpret_cast<uint64_t>(data);
    const auto found = c.driver.hostFlags.find(address);
    require(found != c.driver.hostFlags.end(), CUDA_ERROR_INVALID_VALUE);
    const Allocation* allocation = c.driver.host->findLive(address, 1);
    require(allocation != nullptr && !allocation->registered, CUDA_ERROR_INVALID_VALUE);
    c.schedule().drain(c.lock, nullptr);
    c.driver.hostFlags.erase(address);
    require(c.driver.host->free(address), CUDA_ERROR_INVALID_VALUE);
  });
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* address, void* data, unsigned flags) {
  return call(Api::cuMemHostGetDevicePointer_v2, 0, [&](Call& c) {
    require(address != nullptr && flags == 0, CUDA_ERROR_INVALID_VALUE);
    require(c.driver.locate(reinterpret_cast<uint64_t>(data)).pinned, CUDA_ERROR_INVALID_VALUE);
    *address = reinterpret_cast<uint64_t>(data);
  });
}

CUresult cuMemHostGetFlags(unsigned* flags, void* data) {
  return call(Api::cuMemHostGetFlags, 0, [&](Call& c) {
    const auto found = c.driver.hostFlags.find(reinterpret_cast<uint64_t>(data));
    require(flags != nullptr && found != c.driver.hostFlags.end(), CUDA_ERROR_INVALID_VALUE);
    *flags = found->second | 2;  // all pinned memory is mapped
  });
}

CUresult cuMemHostRegister_v2(void* data, size_t bytes, unsigned flags) {
  return call(Api::cuMemHostRegister_v2, kUnsafe, [&](Call& c) {
    require(data != nullptr && bytes != 0, CUDA_ERROR_INVALID_VALUE);
    require((flags & ~0xfu) == 0, CUDA_ERROR_INVALID_VALUE);
    const auto address = reinterpret_cast<uint64_t>(data);
    require(c.driver.locate(address).memory == nullptr && c.driver.host->registerHost(data, bytes),
            CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    c.driver.hostFlags[address] = flags;
  });
}

CUresult cuMemHostUnregister(void* data) {
  return call(Api::cuMemHostUnregister, kUnsafe, [&](Call& c) {
    const auto address = reinterpret_cast<uint64_t>(data);
    require(c.driver.hostFlags.count(address) != 0, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    c.schedule().drain(c.lock, nullptr);
    require(c.driver.host->unregisterHost(data), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    c.driver.hostFlags.erase(address);
  });
}

CUresult cuMemAllocManaged(CUdeviceptr*, size_t, unsigned) {
  // Pages that move between host and device on touch are not modelled; CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY says so.
  return call(Api::cuMemAllocManaged, 0, [](Call&) { throw ApiError{CUDA_ERROR_NOT_SUPPORTED}; });
}

CUresult cuPointerGetAttribute(void* data, int attribute, CUdeviceptr address) {
  return call(Api::cuPointerGetAttribute, kNoContext, [&](Call& c) { pointerAttribute(c, data, attribute, address); });
}

CUresult cuPointerGetAttributes(unsigned count, int* attributes, void** data, CUdeviceptr address) {
  return call(Api::cuPointerGetAttributes, kNoContext, [&](Call& c) {
    require(attributes != nullptr && data != nullptr, CUDA_ERROR_INVALID_VALUE);
    for (unsigned i = 0; i < count; ++i) {
      if (c.driver.locate(address).memory == nullptr) {
        // An address that no driver knows is pageable host memory: zeros, and success.
        std::memset(data[i], 0, 4);
      } else {
        pointerAttribute(c, data[i], attributes[i], address);
      }
    }
  });
}

}  // namespace warploom::cudasim
