// Stream-ordered allocation. An address is handed out at the call and is good from that place in the stream on; a free
// happens when its turn comes, so a use queued behind it is found.
#include <algorithm>
#include <cstring>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

Pool& poolAt(Driver& driver, CUmemoryPool pool) {
  for (Device& device : driver.devices) {
    if (pool == &device.defaultPool) return *pool;
  }
  require(driver.pools.count(pool) != 0, CUDA_ERROR_INVALID_VALUE);
  return *pool;
}

CUdeviceptr allocateAsync(Call& call, Pool& pool, size_t bytes, CUstream stream) {
  require(bytes != 0, CUDA_ERROR_INVALID_VALUE);
  Stream& target = streamAt(call, stream);
  if (target.capture != nullptr) target.capture->valid = false;  // allocation nodes are not modelled
  require(target.capture == nullptr, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  Memory& memory = *pool.device->memory;
  uint64_t address = memory.alloc(bytes);
  if (address == 0) {
    // Frees that are queued may make room.
    call.schedule().drain(call.lock, pool.device);
    address = memory.alloc(bytes);
  }
  require(address != 0, CUDA_ERROR_OUT_OF_MEMORY);
  call.driver.pooled[address] = &pool;
  pool.used += bytes;
  pool.usedHigh = std::max(pool.usedHigh, pool.used);
  // The mark says when the memory becomes usable: another stream must be ordered behind it.
  const JobPtr job = openJob(call, target);
  job->what = "cuMemAllocAsync";
  job->perform = [address, bytes] {
    Outcome outcome;
    outcome.touched.push_back({address, bytes, true});
    return outcome;
  };
  queueJob(call, target, job);
  return address;
}

}  // namespace

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
  return call(Api::cuDeviceGetDefaultMemPool, kNoContext, [&](Call& c) {
    require(pool != nullptr, CUDA_ERROR_INVALID_VALUE);
    *pool = &deviceAt(c.driver, device).defaultPool;
  });
}
CUresult cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice device) {
  return call(Api::cuDeviceGetMemPool, kNoContext, [&](Call& c) {
    require(pool != nullptr, CUDA_ERROR_INVALID_VALUE);
    *pool = deviceAt(c.driver, device).pool;
  });
}
CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool) {
  return call(Api::cuDeviceSetMemPool, kNoContext, [&](Call& c) {
    Device& owner = deviceAt(c.driver, device);
    require(poolAt(c.driver, pool).device == &owner, CUDA_ERROR_INVALID_VALUE);
    owner.pool = pool;
  });
}

CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream stream) {
  return call(Api::cuMemAllocAsync, 0, [&](Call& c) {
    require(address != nullptr, CUDA_ERROR_INVALID_VALUE);
    *address = allocateAsync(c, *streamAt(c, stream).context->device->pool, bytes, stream);
  });
}
CUresult cuMemAllocFromPoolAsync(CUdeviceptr* address, size_t bytes, CUmemoryPool pool, CUstream stream) {
  return call(Api::cuMemAllocFromPoolAsync, 0, [&](Call& c) {
    require(address != nullptr, CUDA_ERROR_INVALID_VALUE);
    *address = allocateAsync(c, poolAt(c.driver, pool), bytes, stream);
  });
}
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
  return call(Api::cuMemFreeAsync, 0, [&](Call& c) {
    Stream& target = streamAt(c, stream);
    if (address == 0) return;
    const Place place = c.driver.locate(address);
    require(place.device != nullptr, CUDA_ERROR_INVALID_VALUE);
    const Allocation* allocation = place.memory->findLive(address, 1);
    require(allocation->address == address && allocation->kind == AllocationKind::device, CUDA_ERROR_INVALID_VALUE);
    if (target.capture != nullptr) target.capture->valid = false;
    require(target.capture == nullptr, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    const auto pooled = c.driver.pooled.find(address);
    if (pooled != c.driver.pooled.end()) {
      pooled->second->used -= allocation->size;
      c.driver.pooled.erase(pooled);
    }
    Work work;
    work.kind = Work::Kind::release;
    work.device = place.device;
    work.address = address;
    submit(c, target, std::move(work));
  });
}

CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* props) {
  return call(Api::cuMemPoolCreate, kNoContext, [&](Call& c) {
    require(pool != nullptr && props != nullptr && props->location.type == 1, CUDA_ERROR_INVALID_VALUE);
    require(props->handleTypes == 0, CUDA_ERROR_NOT_SUPPORTED);
    auto made = std::make_unique<Pool>();
    made->device = &deviceAt(c.driver, props->location.id);
    *pool = made.get();
    c.driver.pools[made.get()] = std::move(made);
  });
}
CUresult cuMemPoolDestroy(CUmemoryPool pool) {
  return call(Api::cuMemPoolDestroy, kNoContext, [&](Call& c) {
    Pool& gone = poolAt(c.driver, pool);
    require(!gone.isDefault, CUDA_ERROR_INVALID_VALUE);
    if (gone.device->pool == &gone) gone.device->pool = &gone.device->defaultPool;
    for (auto entry = c.driver.pooled.begin(); entry != c.driver.pooled.end();) {
      entry = entry->second == &gone ? c.driver.pooled.erase(entry) : std::next(entry);
    }
    c.driver.pools.erase(pool);
  });
}
CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t) {
  // Freed memory goes back at once, so nothing is left to trim.
  return call(Api::cuMemPoolTrimTo, kNoContext, [&](Call& c) { poolAt(c.driver, pool); });
}
CUresult cuMemPoolSetAttribute(CUmemoryPool pool, int attribute, void* value) {
  return call(Api::cuMemPoolSetAttribute, kNoContext, [&](Call& c) {
    Pool& target = poolAt(c.driver, pool);
    require(value != nullptr, CUDA_ERROR_INVALID_VALUE);
    if (attribute >= 1 && attribute <= 3) {
      std::memcpy(&target.reuse[attribute], value, sizeof(int));
    } else if (attribute == 4) {
      std::memcpy(&target.threshold, value, sizeof(uint64_t));
    } else if (attribute == 8 || attribute == 6) {
      uint64_t reset = 1;
      std::memcpy(&reset, value, sizeof(reset));
      require(reset == 0, CUDA_ERROR_INVALID_VALUE);  // high-water marks can only be cleared
      target.usedHigh = target.used;
    } else {
      throw ApiError{CUDA_ERROR_INVALID_VALUE};
    }
  });
}
CUresult cuMemPoolGetAttribute(CUmemoryPool pool, int attribute, void* value) {
  return call(Api::cuMemPoolGetAttribute, kNoContext, [&](Call& c) {
    const Pool& source = poolAt(c.driver, pool);
    require(value != nullptr && attribute >= 1 && attribute <= 8, CUDA_ERROR_INVALID_VALUE);
    if (attribute <= 3) {
      std::memcpy(value, &source.reuse[attribute], sizeof(int));
      return;
    }
    const uint64_t number = attribute == 4 ? source.threshold : attribute % 2 == 1 ? source.used : source.usedHigh;
    std::memcpy(value, &number, sizeof(number));
  });
}
CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc* map, size_t count) {
  return call(Api::cuMemPoolSetAccess, kNoContext, [&](Call& c) {
    poolAt(c.driver, pool);
    require(map != nullptr || count == 0, CUDA_ERROR_INVALID_VALUE);
    for (size_t i = 0; i < count; ++i) deviceAt(c.driver, map[i].location.id);
  });
}

}  // namespace warploom::cudasim
