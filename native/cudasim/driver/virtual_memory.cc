// Reserved addresses and physical memory mapped into them. A physical allocation is an anonymous file, so that one may
// stand at two addresses, as on a real device.
#include <sys/mman.h>
#include <unistd.h>

#include "cudasim/driver/driver.h"

namespace warploom::cudasim {

namespace {

constexpr uint64_t kGranularity = uint64_t{2} << 20;

Physical& physicalAt(Driver& driver, unsigned long long handle) {
  const auto found = driver.physical.find(handle);
  require(found != driver.physical.end(), CUDA_ERROR_INVALID_VALUE);
  return found->second;
}

void release(Driver& driver, unsigned long long handle) {
  Physical& memory = physicalAt(driver, handle);
  if (--memory.uses > 0) return;
  close(memory.file);
  driver.physical.erase(handle);
}

// The reservation that holds the whole range.
bool reserved(const Driver& driver, uint64_t address, uint64_t size) {
  auto after = driver.reservations.upper_bound(address);
  if (after == driver.reservations.begin()) return false;
  --after;
  return address + size <= after->first + after->second;
}

}  // namespace

CUresult cuMemAddressReserve(CUdeviceptr* address, size_t size, size_t alignment, CUdeviceptr,
                             unsigned long long flags) {
  return call(Api::cuMemAddressReserve, kNoContext, [&](Call& c) {
    require(address != nullptr && size != 0 && size % kGranularity == 0 && flags == 0, CUDA_ERROR_INVALID_VALUE);
    require((alignment & (alignment - 1)) == 0, CUDA_ERROR_INVALID_VALUE);
    const uint64_t align = alignment > kGranularity ? alignment : kGranularity;
    require(size < UINT64_MAX - align, CUDA_ERROR_OUT_OF_MEMORY);
    // Taken larger, then cut down to the alignment.
    void* area = mmap(nullptr, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require(area != MAP_FAILED, CUDA_ERROR_OUT_OF_MEMORY);
    const auto start = reinterpret_cast<uint64_t>(area);
    const uint64_t aligned = (start + align - 1) / align * align;
    if (aligned > start) munmap(area, aligned - start);
    munmap(reinterpret_cast<void*>(aligned + size), start + align - aligned);
    c.driver.reservations[aligned] = size;
    *address = aligned;
  });
}

CUresult cuMemAddressFree(CUdeviceptr address, size_t size) {
  return call(Api::cuMemAddressFree, kNoContext, [&](Call& c) {
    const auto found = c.driver.reservations.find(address);
    require(found != c.driver.reservations.end() && found->second == size, CUDA_ERROR_INVALID_VALUE);
    const auto mapped = c.driver.mappings.lower_bound(address);
    require(mapped == c.driver.mappings.end() || mapped->first >= address + size, CUDA_ERROR_INVALID_VALUE);
    munmap(reinterpret_cast<void*>(address), size);
    c.driver.reservations.erase(found);
  });
}

CUresult cuMemCreate(unsigned long long* handle, size_t size, const CUmemAllocationProp* prop,
                     unsigned long long flags) {
  return call(Api::cuMemCreate, kNoContext, [&](Call& c) {
    require(handle != nullptr && prop != nullptr && flags == 0, CUDA_ERROR_INVALID_VALUE);
    require(size != 0 && size % kGranularity == 0 && prop->type == 1 && prop->location.type == 1,
            CUDA_ERROR_INVALID_VALUE);
    require(prop->requestedHandleTypes == 0, CUDA_ERROR_NOT_SUPPORTED);
    const Device& device = deviceAt(c.driver, prop->location.id);
    uint64_t taken = device.memory->used();
    for (const auto& other : c.driver.physical) {
      if (other.second.device == device.ordinal) taken += other.second.bytes;
    }
    require(size <= device.memory->capacity() && taken <= device.memory->capacity() - size, CUDA_ERROR_OUT_OF_MEMORY);
    Physical memory;
    memory.bytes = size;
    memory.device = device.ordinal;
    memory.file = memfd_create("cudasim", MFD_CLOEXEC);
    require(memory.file >= 0, CUDA_ERROR_OUT_OF_MEMORY);
    if (ftruncate(memory.file, static_cast<off_t>(size)) != 0) {
      close(memory.file);
      throw ApiError{CUDA_ERROR_OUT_OF_MEMORY};
    }
    *handle = ++c.driver.ids;
    c.driver.physical[*handle] = memory;
  });
}

CUresult cuMemRelease(unsigned long long handle) {
  return call(Api::cuMemRelease, kNoContext, [&](Call& c) { release(c.driver, handle); });
}

CUresult cuMemMap(CUdeviceptr address, size_t size, size_t offset, unsigned long long handle,
                  unsigned long long flags) {
  return call(Api::cuMemMap, kNoContext, [&](Call& c) {
    Physical& memory = physicalAt(c.driver, handle);
    require(size != 0 && size % kGranularity == 0 && address % kGranularity == 0 && offset == 0 && flags == 0,
            CUDA_ERROR_INVALID_VALUE);
    require(size <= memory.bytes && reserved(c.driver, address, size), CUDA_ERROR_INVALID_VALUE);
    auto next = c.driver.mappings.lower_bound(address);
    require(next == c.driver.mappings.end() || next->first >= address + size, CUDA_ERROR_INVALID_VALUE);
    if (next != c.driver.mappings.begin()) {
      const auto before = std::prev(next);
      require(before->first + before->second.bytes <= address, CUDA_ERROR_INVALID_VALUE);
    }
    void* area =
        mmap(reinterpret_cast<void*>(address), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory.file, 0);
    require(area != MAP_FAILED, CUDA_ERROR_OUT_OF_MEMORY);
    ++memory.uses;
    c.driver.mappings[address] = {size, handle, false};
  });
}

CUresult cuMemUnmap(CUdeviceptr address, size_t size) {
  return call(Api::cuMemUnmap, kNoContext | kUnsafe, [&](Call& c) {
    const auto found = c.driver.mappings.find(address);
    require(found != c.driver.mappings.end() && found->second.bytes == size, CUDA_ERROR_INVALID_VALUE);
    Device& device = deviceAt(c.driver, physicalAt(c.driver, found->second.handle).device);
    c.schedule().drain(c.lock, &device);
    if (found->second.accessible) device.memory->unregisterHost(reinterpret_cast<void*>(address));
    mmap(reinterpret_cast<void*>(address), size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
         0);
    release(c.driver, found->second.handle);
    c.driver.mappings.erase(address);
  });
}

CUresult cuMemSetAccess(CUdeviceptr address, size_t size, const CUmemAccessDesc* map, size_t count) {
  return call(Api::cuMemSetAccess, kNoContext, [&](Call& c) {
    require(map != nullptr && count == 1 && map->location.type == 1, CUDA_ERROR_INVALID_VALUE);
    deviceAt(c.driver, map->location.id);
    uint64_t end = address;
    for (auto entry = c.driver.mappings.find(address); entry != c.driver.mappings.end() && end < address + size;
         ++entry) {
      require(entry->first == end, CUDA_ERROR_INVALID_VALUE);
      end += entry->second.bytes;
    }
    require(end == address + size, CUDA_ERROR_INVALID_VALUE);
    for (auto entry = c.driver.mappings.find(address); entry != c.driver.mappings.end() && entry->first < end;
         ++entry) {
      Mapping& mapping = entry->second;
      Memory& memory = *c.driver.devices[static_cast<size_t>(physicalAt(c.driver, mapping.handle).device)].memory;
      void* data = reinterpret_cast<void*>(entry->first);
      if (map->flags != 0 && !mapping.accessible) {
        mapping.accessible = memory.registerHost(data, mapping.bytes);
        require(mapping.accessible, CUDA_ERROR_INVALID_VALUE);
      } else if (map->flags == 0 && mapping.accessible) {
        memory.unregisterHost(data);
        mapping.accessible = false;
      }
    }
  });
}

CUresult cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location, CUdeviceptr address) {
  return call(Api::cuMemGetAccess, kNoContext, [&](Call& c) {
    require(flags != nullptr && location != nullptr, CUDA_ERROR_INVALID_VALUE);
    auto after = c.driver.mappings.upper_bound(address);
    require(after != c.driver.mappings.begin(), CUDA_ERROR_INVALID_VALUE);
    --after;
    require(address < after->first + after->second.bytes, CUDA_ERROR_INVALID_VALUE);
    *flags = after->second.accessible ? 3 : 0;
  });
}

CUresult cuMemGetAllocationGranularity(size_t* granularity, const CUmemAllocationProp* prop, int option) {
  return call(Api::cuMemGetAllocationGranularity, kNoContext, [&](Call&) {
    require(granularity != nullptr && prop != nullptr && (option == 0 || option == 1), CUDA_ERROR_INVALID_VALUE);
    *granularity = kGranularity;
  });
}

}  // namespace warploom::cudasim
