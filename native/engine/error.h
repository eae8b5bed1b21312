// What went wrong, in the form that reaches TypeScript, where it becomes a typed error.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "engine/backend.h"

namespace warploom {

enum class ErrorCode { none, outOfMemory, index, failed, invalid, capture, notSupported, deviceLost, driver };

struct Error {
  ErrorCode code = ErrorCode::none;
  std::string op;
  std::string message;
  // outOfMemory
  int64_t requested = 0, active = 0, limit = 0;
  // index
  int64_t value = 0, bound = 0;

  explicit operator bool() const { return code != ErrorCode::none; }
};

inline Error indexError(const IndexErrorInfo& info) {
  Error error;
  error.code = ErrorCode::index;
  error.op = info.op;
  error.value = info.value;
  error.bound = info.bound;
  error.message = "index " + std::to_string(info.value) + " is outside [0, " + std::to_string(info.bound) + ")";
  return error;
}

// What `op` failed with when it threw.
Error errorOf(const std::exception& thrown, const char* op);

inline const char* errorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::outOfMemory:
      return "OUT_OF_MEMORY";
    case ErrorCode::index:
      return "INDEX";
    case ErrorCode::failed:
      return "FAILED";
    case ErrorCode::invalid:
      return "INVALID";
    case ErrorCode::capture:
      return "CAPTURE";
    case ErrorCode::notSupported:
      return "NOT_SUPPORTED";
    case ErrorCode::deviceLost:
      return "DEVICE_LOST";
    case ErrorCode::driver:
      return "DRIVER";
    default:
      return "NONE";
  }
}

}  // namespace warploom
