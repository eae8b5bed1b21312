// Devices, their attributes, and contexts.
#include <cstring>
#include <unordered_map>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

constexpr const char* kName = "Simulated GPU (PTX interpreter on the CPU)";

// What a device of compute capability 8.0 (an A100) answers. Rates and bandwidths say 0: nothing here has a speed.
const std::unordered_map<int, int>& attributes() {
  static const std::unordered_map<int, int> values = {
      {1, kMaxThreads},
      {2, 1024},
      {3, 1024},
      {4, 64},  // block
      {5, 2147483647},
      {6, 65535},
      {7, 65535},  // grid
      {8, kSharedDefault},
      {9, 65536},
      {10, 32},
      {11, 2147483647},  // shared, constant, warp, pitch
      {12, kRegistersPerMultiprocessor},
      {13, 0},
      {14, 512},
      {15, 1},
      {16, kMultiprocessors},
      {17, 0},
      {18, 0},
      {19, 1},
      {20, 0},
      {30, 512},
      {31, 1},
      {32, 0},
      {34, 0},
      {35, 0},
      {36, 0},
      {37, 0},
      {38, 40 << 20},
      {39, kThreadsPerMultiprocessor},
      {40, 3},
      {41, 1},
      {50, 0},
      {51, 32},
      {75, 8},
      {76, 0},
      {78, 1},
      {79, 1},
      {80, 1},
      {81, kSharedPerMultiprocessor},
      {82, kRegistersPerMultiprocessor},
      {83, 0},
      {84, 0},
      {85, 0},
      {86, 0},
      {87, 2},
      {88, 0},
      {89, 0},
      {90, 1},
      {91, 1},
      {95, 1},
      {96, 1},
      {97, kSharedOptin},
      {98, 0},
      {99, 1},
      {100, 0},
      {101, 0},
      {102, 1},
      {103, 1},
      {104, 0},
      {105, 0},
      {106, kBlocksPerMultiprocessor},
      {107, 0},
      {108, 0},
      {109, 0},
      {110, 0},
      {111, kSharedReserved},
      {115, 1},
      {116, 0},
      {117, 0},
      {118, 0},
      {119, 0},
      {120, 0},
      {127, 0},
      {129, 0},
      {132, 0},
      {133, 0},
  };
  return values;
}

}  // namespace

Context* Driver::makeContext(Device& device, bool primary) {
  auto context = std::make_unique<Context>();
  context->device = &device;
  context->primary = primary;
  context->id = ++ids;
  context->limits = {{0, 1024}, {1, 1 << 20}, {2, 8 << 20}, {3, 2}, {4, 2048}, {5, 64}, {6, 0}};
  context->legacy.context = context.get();
  context->legacy.legacy = true;
  context->legacy.id = ++ids;
  context->legacy.lane = schedule->takeLane();
  Context* raw = context.get();
  contexts[raw] = std::move(context);
  return raw;
}

void Driver::dropContext(Lock& lock, Context* context) {
  schedule->drain(lock, context->device);
  for (auto module = modules.begin(); module != modules.end();) {
    if (module->second->context == context) {
      for (const auto& function : module->second->functions) functions.erase(function.second.get());
      module->second->module->remove(*context->device->memory);
      module = modules.erase(module);
    } else {
      ++module;
    }
  }
  for (auto event = events.begin(); event != events.end();) {
    event = event->second->context == context ? events.erase(event) : std::next(event);
  }
  for (const auto& stream : context->streams) schedule->releaseLane(stream.first->lane);
  for (const auto& stream : context->perThread) schedule->releaseLane(stream.second->lane);
  schedule->releaseLane(context->legacy.lane);
  contexts.erase(context);
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return call(Api::cuDeviceGet, kNoContext, [&](Call& c) {
    require(device != nullptr, CUDA_ERROR_INVALID_VALUE);
    *device = deviceAt(c.driver, ordinal).ordinal;
  });
}

CUresult cuDeviceGetCount(int* count) {
  return call(Api::cuDeviceGetCount, kNoContext, [&](Call& c) {
    require(count != nullptr, CUDA_ERROR_INVALID_VALUE);
    *count = static_cast<int>(c.driver.devices.size());
  });
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  return call(Api::cuDeviceGetName, kNoContext, [&](Call& c) {
    deviceAt(c.driver, device);
    require(name != nullptr && length > 0, CUDA_ERROR_INVALID_VALUE);
    std::snprintf(name, static_cast<std::size_t>(length), "%s", kName);
  });
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  return call(Api::cuDeviceGetUuid, kNoContext, [&](Call& c) {
    require(uuid != nullptr, CUDA_ERROR_INVALID_VALUE);
    std::memcpy(uuid->bytes, "warploomcudasim", 15);
    uuid->bytes[15] = static_cast<char>(deviceAt(c.driver, device).ordinal);
  });
}
CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) { return cuDeviceGetUuid(uuid, device); }

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  return call(Api::cuDeviceTotalMem_v2, kNoContext, [&](Call& c) {
    require(bytes != nullptr, CUDA_ERROR_INVALID_VALUE);
    *bytes = deviceAt(c.driver, device).memory->capacity();
  });
}

CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
  return call(Api::cuDeviceGetAttribute, kNoContext, [&](Call& c) {
    const Device& owner = deviceAt(c.driver, device);
    require(value != nullptr && attribute > 0 && attribute < 148, CUDA_ERROR_INVALID_VALUE);
    const auto found = attributes().find(attribute);
    *value = attribute == 33 ? owner.ordinal + 1 : found == attributes().end() ? 0 : found->second;
  });
}

CUresult cuDeviceGetByPCIBusId(CUdevice* device, const char* busId) {
  return call(Api::cuDeviceGetByPCIBusId, kNoContext, [&](Call&) {
    require(device != nullptr && busId != nullptr, CUDA_ERROR_INVALID_VALUE);
    unsigned domain = 0, bus = 0;
    require(std::sscanf(busId, "%x:%x", &domain, &bus) == 2 && domain == 0, CUDA_ERROR_INVALID_VALUE);
    require(bus == 1 || bus == 2, CUDA_ERROR_INVALID_DEVICE);
    *device = static_cast<int>(bus) - 1;
  });
}

CUresult cuDeviceGetPCIBusId(char* busId, int length, CUdevice device) {
  return call(Api::cuDeviceGetPCIBusId, kNoContext, [&](Call& c) {
    require(busId != nullptr && length >= 13, CUDA_ERROR_INVALID_VALUE);
    std::snprintf(busId, static_cast<std::size_t>(length), "0000:%02x:00.0", deviceAt(c.driver, device).ordinal + 1);
  });
}

CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
  return call(Api::cuDeviceCanAccessPeer, kNoContext, [&](Call& c) {
    require(can != nullptr, CUDA_ERROR_INVALID_VALUE);
    *can = &deviceAt(c.driver, device) != &deviceAt(c.driver, peer) ? 1 : 0;
  });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return call(Api::cuDevicePrimaryCtxRetain, kNoContext, [&](Call& c) {
    Device& owner = deviceAt(c.driver, device);
    require(context != nullptr, CUDA_ERROR_INVALID_VALUE);
    checkSticky(owner);
    if (owner.primary == nullptr) {
      owner.primary = c.driver.makeContext(owner, true);
      owner.primary->flags = owner.primaryFlags;
    }
    ++owner.primaryUses;
    *context = owner.primary;
  });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return call(Api::cuDevicePrimaryCtxRelease_v2, kNoContext | kUnsafe, [&](Call& c) {
    Device& owner = deviceAt(c.driver, device);
    require(owner.primaryUses > 0, CUDA_ERROR_INVALID_CONTEXT);
    if (--owner.primaryUses > 0) return;
    c.driver.dropContext(c.lock, owner.primary);
    owner.primary = nullptr;
  });
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return call(Api::cuDevicePrimaryCtxReset_v2, kNoContext | kUnsafe, [&](Call& c) {
    Device& owner = deviceAt(c.driver, device);
    checkSticky(owner);  // a lost device stays lost until the process ends
    if (owner.primary == nullptr) return;
    c.driver.dropContext(c.lock, owner.primary);
    owner.primary = nullptr;
    owner.primaryUses = 0;
  });
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
  return call(Api::cuDevicePrimaryCtxSetFlags_v2, kNoContext, [&](Call& c) {
    Device& owner = deviceAt(c.driver, device);
    owner.primaryFlags = flags;
    if (owner.primary != nullptr) owner.primary->flags = flags;
  });
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  return call(Api::cuDevicePrimaryCtxGetState, kNoContext, [&](Call& c) {
    const Device& owner = deviceAt(c.driver, device);
    require(flags != nullptr && active != nullptr, CUDA_ERROR_INVALID_VALUE);
    *flags = owner.primaryFlags;
    *active = owner.primary != nullptr ? 1 : 0;
  });
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
  return call(Api::cuCtxCreate_v2, kNoContext, [&](Call& c) {
    Device& owner = deviceAt(c.driver, device);
    require(context != nullptr, CUDA_ERROR_INVALID_VALUE);
    checkSticky(owner);
    *context = c.driver.makeContext(owner, false);
    (*context)->flags = flags;
    contextStack().push_back(*context);
  });
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  return call(Api::cuCtxDestroy_v2, kNoContext | kUnsafe, [&](Call& c) {
    require(!contextAt(c.driver, context).primary, CUDA_ERROR_INVALID_CONTEXT);
    if (!contextStack().empty() && contextStack().back() == context) contextStack().pop_back();
    c.driver.dropContext(c.lock, context);
  });
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return call(Api::cuCtxPushCurrent_v2, kNoContext,
              [&](Call& c) { contextStack().push_back(&contextAt(c.driver, context)); });
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  return call(Api::cuCtxPopCurrent_v2, kNoContext, [&](Call&) {
    require(!contextStack().empty(), CUDA_ERROR_INVALID_CONTEXT);
    if (context != nullptr) *context = contextStack().back();
    contextStack().pop_back();
  });
}

CUresult cuCtxSetCurrent(CUcontext context) {
  return call(Api::cuCtxSetCurrent, kNoContext, [&](Call& c) {
    if (context != nullptr) contextAt(c.driver, context);
    if (!contextStack().empty()) contextStack().pop_back();
    if (context != nullptr) contextStack().push_back(context);
  });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  return call(Api::cuCtxGetCurrent, kNoContext, [&](Call& c) {
    require(context != nullptr, CUDA_ERROR_INVALID_VALUE);
    *context = c.context;
  });
}

CUresult cuCtxGetDevice(CUdevice* device) {
  return call(Api::cuCtxGetDevice, kNoContext, [&](Call& c) {
    require(device != nullptr, CUDA_ERROR_INVALID_VALUE);
    *device = contextAt(c.driver, c.context).device->ordinal;
  });
}

CUresult cuCtxGetFlags(unsigned* flags) {
  return call(Api::cuCtxGetFlags, 0, [&](Call& c) {
    require(flags != nullptr, CUDA_ERROR_INVALID_VALUE);
    *flags = c.context->flags;
  });
}

CUresult cuCtxGetId(CUcontext context, unsigned long long* id) {
  return call(Api::cuCtxGetId, kNoContext, [&](Call& c) {
    require(id != nullptr, CUDA_ERROR_INVALID_VALUE);
    *id = contextAt(c.driver, context == nullptr ? c.context : context).id;
  });
}

CUresult cuCtxSynchronize(void) {
  return call(Api::cuCtxSynchronize, kUnsafe, [&](Call& c) {
    c.schedule().drain(c.lock, &c.device());
    checkSticky(c.device());
  });
}

CUresult cuCtxSetLimit(int limit, size_t value) {
  return call(Api::cuCtxSetLimit, 0, [&](Call& c) {
    require(c.context->limits.count(limit) != 0, CUDA_ERROR_UNSUPPORTED_LIMIT);
    c.context->limits[limit] = value;
  });
}

CUresult cuCtxGetLimit(size_t* value, int limit) {
  return call(Api::cuCtxGetLimit, 0, [&](Call& c) {
    require(value != nullptr, CUDA_ERROR_INVALID_VALUE);
    require(c.context->limits.count(limit) != 0, CUDA_ERROR_UNSUPPORTED_LIMIT);
    *value = c.context->limits[limit];
  });
}

CUresult cuCtxGetCacheConfig(int* config) {
  return call(Api::cuCtxGetCacheConfig, 0, [&](Call& c) {
    require(config != nullptr, CUDA_ERROR_INVALID_VALUE);
    *config = c.context->cacheConfig;
  });
}

CUresult cuCtxSetCacheConfig(int config) {
  return call(Api::cuCtxSetCacheConfig, 0, [&](Call& c) {
    require(config >= 0 && config <= 3, CUDA_ERROR_INVALID_VALUE);
    c.context->cacheConfig = config;
  });
}

CUresult cuCtxGetApiVersion(CUcontext context, unsigned* version) {
  return call(Api::cuCtxGetApiVersion, kNoContext, [&](Call& c) {
    require(version != nullptr, CUDA_ERROR_INVALID_VALUE);
    contextAt(c.driver, context == nullptr ? c.context : context);
    *version = 3020;
  });
}

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return call(Api::cuCtxGetStreamPriorityRange, 0, [&](Call&) {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
  });
}

CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned flags) {
  return call(Api::cuCtxEnablePeerAccess, 0, [&](Call& c) {
    Device* other = contextAt(c.driver, peer).device;
    require(flags == 0, CUDA_ERROR_INVALID_VALUE);
    require(other != c.context->device, CUDA_ERROR_INVALID_DEVICE);
    require(c.context->peers.insert(other).second, CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
  });
}

CUresult cuCtxDisablePeerAccess(CUcontext peer) {
  return call(Api::cuCtxDisablePeerAccess, 0, [&](Call& c) {
    require(c.context->peers.erase(contextAt(c.driver, peer).device) != 0, CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
  });
}

}  // namespace warploom::cudasim
