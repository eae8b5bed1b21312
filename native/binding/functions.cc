// The addon's functions, one for one as src/addon.ts declares them.
#include <cmath>
#include <cstring>

#include "binding/environment.h"
#include "cuda/backend.h"
#include "engine/philox.h"

namespace warploom::binding {
namespace {

Environment& environmentOf(const Napi::CallbackInfo& info) { return *static_cast<Environment*>(info.Data()); }

// JavaScript hands over numbers only (src/addon.ts is the sole caller); anything else is a bug there and throws.
double number(const Napi::CallbackInfo& info, std::size_t index) {
  if (index >= info.Length() || !info[index].IsNumber())
    throw Napi::TypeError::New(info.Env(), "warploom: a number is expected");
  return info[index].As<Napi::Number>().DoubleValue();
}

int integer(const Napi::CallbackInfo& info, std::size_t index) {
  const double value = number(info, index);
  return value >= -1 && value < 2147483648.0 ? static_cast<int>(value) : -1;
}

[[noreturn]] void throwLast(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  Napi::Error error = Napi::Error::New(info.Env(), environment.lastError.message);
  error.Set("info", environment.errorObject(info.Env(), environment.lastError));
  throw error;
}

Device& deviceAt(const Napi::CallbackInfo& info, std::size_t index) {
  Device* device = environmentOf(info).device(integer(info, index));
  if (device == nullptr) throwLast(info);
  return *device;
}

Error& setError(Environment& environment, ErrorCode code, const char* message) {
  environment.lastError = Error();
  environment.lastError.code = code;
  environment.lastError.message = message;
  return environment.lastError;
}

// The hot one: plain Node-API, no wrapper objects.
napi_value submit(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  std::size_t count = 2;
  void* data = nullptr;
  int32_t op = -1, device = -1;
  napi_value result = nullptr;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, &data) != napi_ok || count < 2) return nullptr;
  napi_get_value_int32(env, arguments[0], &op);
  napi_get_value_int32(env, arguments[1], &device);
  int status = 1;
  Environment& environment = *static_cast<Environment*>(data);
  try {
    status = environment.submit(op, device);
  } catch (const std::exception& error) {
    setError(environment, ErrorCode::failed, error.what());
  }
  napi_create_int32(env, status, &result);
  return result;
}

napi_value release(napi_env env, napi_callback_info info) {
  napi_value argument;
  std::size_t count = 1;
  void* data = nullptr;
  int32_t handle = -1;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, &data) != napi_ok || count < 1) return nullptr;
  napi_get_value_int32(env, argument, &handle);
  static_cast<Environment*>(data)->storages.release(handle);
  return nullptr;
}

Napi::Value allocate(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  Device& device = deviceAt(info, 0);
  const double bytes = number(info, 1);
  if (!(bytes >= 0 && bytes <= 9007199254740992.0)) {
    setError(environment, ErrorCode::invalid, "the number of bytes is negative, NaN or beyond 2^53");
    return Napi::Number::New(info.Env(), -1);
  }
  Block* block = device.take(static_cast<std::size_t>(bytes), "allocate", environment.lastError);
  if (block == nullptr) return Napi::Number::New(info.Env(), -1);
  const int32_t handle = environment.storages.add(block, &device, static_cast<int64_t>(bytes));
  if (handle < 0) {
    device.allocator().give(block);
    setError(environment, ErrorCode::outOfMemory, "more than four million tensors are alive");
  }
  return Napi::Number::New(info.Env(), handle);
}

// The storage at argument `index`, with [offset, offset + bytes) checked to lie inside; null with lastError set.
Storage* storageRange(const Napi::CallbackInfo& info, std::size_t index, double bytes) {
  Environment& environment = environmentOf(info);
  Storage* storage = environment.storages.find(number(info, index));
  const double offset = number(info, index + 1);
  if (storage == nullptr) {
    setError(environment, ErrorCode::invalid, "the storage has been disposed of");
    return nullptr;
  }
  if (!(offset >= 0) || offset != std::floor(offset) || offset + bytes > static_cast<double>(storage->bytes)) {
    setError(environment, ErrorCode::invalid, "the range reaches outside the storage");
    return nullptr;
  }
  return storage;
}

Napi::Value upload(const Napi::CallbackInfo& info) {
  const void* source;
  std::size_t bytes;
  if (info.Length() > 2 && info[2].IsTypedArray()) {
    const auto array = info[2].As<Napi::TypedArray>();
    bytes = array.ByteLength();
    source = static_cast<const char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  } else if (info.Length() > 2 && info[2].IsDataView()) {
    const auto view = info[2].As<Napi::DataView>();
    bytes = view.ByteLength();
    source = static_cast<const char*>(view.ArrayBuffer().Data()) + view.ByteOffset();
  } else {
    throw Napi::TypeError::New(info.Env(), "warploom: a typed array is expected");
  }
  Storage* storage = storageRange(info, 0, static_cast<double>(bytes));
  if (storage == nullptr) return Napi::Number::New(info.Env(), 1);
  if (bytes > 0) {
    try {
      storage->device->upload(storage->block, static_cast<std::size_t>(number(info, 1)), source, bytes,
                              bytes == static_cast<std::size_t>(storage->bytes));
    } catch (const std::bad_alloc&) {
      Error& error = setError(environmentOf(info), ErrorCode::outOfMemory, "no host memory for the copy on its way");
      error.requested = static_cast<int64_t>(bytes);
      return Napi::Number::New(info.Env(), 1);
    }
  }
  return Napi::Number::New(info.Env(), 0);
}

bool refuseWhileRecording(Environment& environment, Device& device) {
  if (device.recording == nullptr) return false;
  setError(environment, ErrorCode::capture, "a value cannot be read while its device records");
  return true;
}

// transfer(source, byteOffset, target): fills the whole of the target, which lies on another device.
Napi::Value transfer(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  Storage* target = environment.storages.find(number(info, 2));
  if (target == nullptr) {
    setError(environment, ErrorCode::invalid, "the storage has been disposed of");
    return Napi::Number::New(info.Env(), 1);
  }
  Storage* source = storageRange(info, 0, static_cast<double>(target->bytes));
  if (source == nullptr || refuseWhileRecording(environment, *source->device) ||
      refuseWhileRecording(environment, *target->device)) {
    return Napi::Number::New(info.Env(), 1);
  }
  try {
    target->device->receive(target->block, *source->device, source->block, static_cast<std::size_t>(number(info, 1)),
                            static_cast<std::size_t>(target->bytes));
  } catch (const std::bad_alloc&) {
    setError(environment, ErrorCode::outOfMemory, "no host memory for the copy on its way").requested = target->bytes;
    return Napi::Number::New(info.Env(), 1);
  }
  return Napi::Number::New(info.Env(), 0);
}

Napi::ArrayBuffer target(const Napi::CallbackInfo& info, std::size_t index) {
  if (index >= info.Length() || !info[index].IsArrayBuffer())
    throw Napi::TypeError::New(info.Env(), "warploom: an ArrayBuffer is expected");
  return info[index].As<Napi::ArrayBuffer>();
}

Napi::Value read(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  Napi::ArrayBuffer buffer = target(info, 2);
  Storage* storage = storageRange(info, 0, static_cast<double>(buffer.ByteLength()));
  if (storage == nullptr || refuseWhileRecording(environment, *storage->device)) throwLast(info);
  auto* completion = new PromiseCompletion(environment);
  storage->device->read(storage->block, static_cast<std::size_t>(number(info, 1)), buffer.Data(), buffer.ByteLength(),
                        completion);
  const Clock::time_point issued = completion->issued;
  if (environment.expectsSoon(issued) && completion->arrivedBefore(issued + Environment::kMoment) &&
      !completion->error) {
    environment.noteWait(*completion);
    delete completion;
    return info.Env().Undefined();
  }
  completion->deferred.emplace(Napi::Promise::Deferred::New(info.Env()));
  Napi::Promise promise = completion->deferred->Promise();
  completion->target = Napi::Persistent(buffer.As<Napi::Object>());
  environment.expectArrival(info.Env());
  if (!completion->handOver()) {  // else settleAll sees to it
    environment.settleNow(info.Env(), *completion);
    delete completion;
  }
  return promise;
}

Napi::Value readSync(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  Napi::ArrayBuffer buffer = target(info, 2);
  Storage* storage = storageRange(info, 0, static_cast<double>(buffer.ByteLength()));
  if (storage == nullptr || refuseWhileRecording(environment, *storage->device))
    return Napi::Number::New(info.Env(), 1);
  SyncCompletion completion;
  storage->device->read(storage->block, static_cast<std::size_t>(number(info, 1)), buffer.Data(), buffer.ByteLength(),
                        &completion);
  completion.wait();
  if (!completion.error) return Napi::Number::New(info.Env(), 0);
  environment.lastError = completion.error;
  return Napi::Number::New(info.Env(), 1);
}

Napi::Value lastError(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  return environment.errorObject(info.Env(), environment.lastError);
}

Napi::Value takeError(const Napi::CallbackInfo& info) {
  Error error;
  Device& device = deviceAt(info, 0);
  // Asked at exit, which must not wait for work that nobody reads.
  if (device.stream().completed() == device.stream().issued()) device.synchronize();
  if (!device.stream().takePendingError(error)) return info.Env().Null();
  return environmentOf(info).errorObject(info.Env(), error);
}

Napi::Array stringArray(Napi::Env env, const std::vector<std::string>& strings) {
  Napi::Array array = Napi::Array::New(env, strings.size());
  for (std::size_t i = 0; i < strings.size(); ++i) array.Set(static_cast<uint32_t>(i), strings[i]);
  return array;
}

Napi::Value deviceNames(const Napi::CallbackInfo& info) {
  return stringArray(info.Env(), environmentOf(info).deviceNames());
}

// Whether CUDA can be used, and if not, why.
Napi::Value cudaStatus(const Napi::CallbackInfo& info) {
  const cuda::Probe probe = cuda::probe();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("devices", probe.devices);
  object.Set("version", probe.version);
  object.Set("simulated", probe.simulated);
  object.Set("library", probe.library);
  object.Set("reason", probe.reason);
  return object;
}

void setKernelFolder(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsString()) throw Napi::TypeError::New(info.Env(), "warploom: a path is expected");
  environmentOf(info).kernelFolder = info[0].As<Napi::String>().Utf8Value();
}

Napi::Value openDevice(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), environmentOf(info).openDevice(integer(info, 0)) ? 0 : 1);
}

Napi::Value deviceInfo(const Napi::CallbackInfo& info) {
  Device& device = deviceAt(info, 0);
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("name", device.name());
  object.Set("backend", device.name().substr(0, device.name().find(':')));
  // What a device of its own counts belongs to the stream's thread until that has run dry.
  if (!device.impl().hostVisible()) device.stream().drain();
  const DeviceFacts facts = device.impl().facts();
  object.Set("hardware", facts.hardware);
  object.Set("isa", facts.isa);
  object.Set("threads", facts.threads);
  object.Set("simulated", facts.simulated);
  object.Set("kernels", facts.kernels);
  object.Set("launches", static_cast<double>(facts.launches));
  object.Set("reads", static_cast<double>(facts.reads));
  std::vector<std::string> operations;
  for (int i = 0; i < kOpCount; ++i) {
    const OpEntry* entry = device.impl().op(i);
    if (entry != nullptr && entry->run != nullptr) operations.push_back(kOpCodecs[i].name);
  }
  object.Set("operations", stringArray(info.Env(), operations));
  return object;
}

Napi::Value loadBackend(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsString()) throw Napi::TypeError::New(info.Env(), "warploom: a path is expected");
  try {
    return stringArray(info.Env(), environmentOf(info).addBackend(info[0].As<Napi::String>().Utf8Value()));
  } catch (const std::runtime_error& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  Device& device = deviceAt(info, 0);
  const MemoryStatistics& statistics = device.allocator().statistics();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("active", static_cast<double>(statistics.active));
  object.Set("reserved", static_cast<double>(statistics.reserved));
  object.Set("peak", static_cast<double>(statistics.peak));
  object.Set("limit", static_cast<double>(statistics.limit));
  object.Set("storages", static_cast<double>(environmentOf(info).storages.live(&device)));
  return object;
}

void resetPeakMemory(const Napi::CallbackInfo& info) { deviceAt(info, 0).allocator().resetPeak(); }

void setMemoryLimit(const Napi::CallbackInfo& info) {
  const double bytes = number(info, 1);
  deviceAt(info, 0).allocator().setLimit(bytes >= 0 ? (bytes < 1e18 ? static_cast<std::size_t>(bytes) : SIZE_MAX / 2)
                                                    : 0);
}

void emptyCache(const Napi::CallbackInfo& info) {
  Device& device = deviceAt(info, 0);
  device.stream().drain();
  device.allocator().dropCache(device.stream().completed());
}

Napi::Value configureCpu(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(),
                            environmentOf(info).configureCpu(integer(info, 0), info[1].ToString().Utf8Value()));
}

void adjustExternalMemory(const Napi::CallbackInfo& info) {
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), static_cast<int64_t>(number(info, 0)));
}

Napi::Value captureBegin(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  Device& device = deviceAt(info, 0);
  if (device.recording != nullptr) {
    setError(environment, ErrorCode::capture, "this device is recording already; captures do not nest");
    return Napi::Number::New(info.Env(), 1);
  }
  auto recording = std::make_unique<Recording>();
  recording->device = integer(info, 0);
  device.beginRecording(recording.get());
  environment.underway = std::move(recording);
  return Napi::Number::New(info.Env(), 0);
}

Napi::Value captureEnd(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  Device& device = deviceAt(info, 0);
  if (device.recording == nullptr || environment.underway.get() != device.recording) {
    setError(environment, ErrorCode::capture, "this device is not recording");
    return Napi::Number::New(info.Env(), -1);
  }
  device.endRecording();
  const int id = environment.nextRecording++;
  environment.recordings.emplace(id, std::move(environment.underway));
  return Napi::Number::New(info.Env(), id);
}

void dropRecording(Environment& environment, std::unique_ptr<Recording> recording) {
  Device* device = environment.device(recording->device);
  for (int32_t handle : recording->retained) environment.storages.release(handle);
  recording->retained.clear();
  if (device != nullptr) device->forget(std::move(recording));
}

void captureAbort(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  Device& device = deviceAt(info, 0);
  if (device.recording == nullptr || !environment.underway) return;
  device.endRecording();
  dropRecording(environment, std::move(environment.underway));
}

Napi::Value replay(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  const auto found = environment.recordings.find(integer(info, 0));
  if (found == environment.recordings.end()) {
    setError(environment, ErrorCode::capture, "the recording has been disposed of");
    return Napi::Number::New(info.Env(), 1);
  }
  Device* device = environment.device(found->second->device);
  if (device == nullptr || refuseWhileRecording(environment, *device)) return Napi::Number::New(info.Env(), 1);
  device->replay(*found->second);
  return Napi::Number::New(info.Env(), 0);
}

void releaseRecording(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  const auto found = environment.recordings.find(integer(info, 0));
  if (found == environment.recordings.end()) return;
  std::unique_ptr<Recording> recording = std::move(found->second);
  environment.recordings.erase(found);
  dropRecording(environment, std::move(recording));
}

uint64_t bigint(const Napi::CallbackInfo& info, std::size_t index) {
  if (index >= info.Length() || !info[index].IsBigInt())
    throw Napi::TypeError::New(info.Env(), "warploom: a bigint is expected");
  bool lossless = false;
  return info[index].As<Napi::BigInt>().Uint64Value(&lossless);
}

void philox(const Napi::CallbackInfo& info) {
  const uint64_t seed = bigint(info, 0);
  const uint64_t offset = bigint(info, 1);
  if (info.Length() < 3 || !info[2].IsTypedArray() ||
      info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    throw Napi::TypeError::New(info.Env(), "warploom: a Uint32Array is expected");
  }
  auto array = info[2].As<Napi::Uint32Array>();
  uint32_t* const target = array.Data();
  const std::size_t length = array.ElementLength();
  for (std::size_t i = 0; i < length; i += 4) {
    const Philox4 block = philox4x32(seed, offset + i / 4);
    for (std::size_t lane = 0; lane < 4 && i + lane < length; ++lane) target[i + lane] = block.lane[lane];
  }
}

void synchronize(const Napi::CallbackInfo& info) { deviceAt(info, 0).synchronize(); }

void define(napi_env env, napi_value exports, const char* name, napi_callback callback, Environment& environment) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, &environment, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace

void defineFunctions(Napi::Env env, Napi::Object exports, Environment& environment) {
  define(env, exports, "submit", submit, environment);
  define(env, exports, "release", release, environment);
  const auto set = [&](const char* name, auto function) {
    exports.Set(name, Napi::Function::New(env, function, name, &environment));
  };
  set("allocate", allocate);
  set("upload", upload);
  set("transfer", transfer);
  set("read", read);
  set("readSync", readSync);
  set("lastError", lastError);
  set("takeError", takeError);
  set("deviceNames", deviceNames);
  set("cudaStatus", cudaStatus);
  set("setKernelFolder", setKernelFolder);
  set("openDevice", openDevice);
  set("deviceInfo", deviceInfo);
  set("loadBackend", loadBackend);
  set("memory", memory);
  set("resetPeakMemory", resetPeakMemory);
  set("setMemoryLimit", setMemoryLimit);
  set("emptyCache", emptyCache);
  set("configureCpu", configureCpu);
  set("adjustExternalMemory", adjustExternalMemory);
  set("captureBegin", captureBegin);
  set("captureEnd", captureEnd);
  set("captureAbort", captureAbort);
  set("replay", replay);
  set("releaseRecording", releaseRecording);
  set("philox", philox);
  set("synchronize", synchronize);
  exports.Set("words", environment.wordsReference.Value());
  exports.Set("version", std::string("1 (g++ ") + __VERSION__ + ")");
  std::vector<std::string> names;
  for (const OpCodec& codec : kOpCodecs) names.push_back(codec.name);
  exports.Set("opNames", stringArray(env, names));
}

}  // namespace warploom::binding
