#include <new>

#include "engine/driver_failure.h"
#include "engine/error.h"

namespace warploom {

Error errorOf(const std::exception& thrown, const char* op) {
  Error error;
  error.code = dynamic_cast<const DeviceLost*>(&thrown) != nullptr      ? ErrorCode::deviceLost
               : dynamic_cast<const DriverFailure*>(&thrown) != nullptr ? ErrorCode::driver
                                                                        : ErrorCode::failed;
  error.op = op;
  error.message = dynamic_cast<const std::bad_alloc*>(&thrown) != nullptr
                      ? "the host ran out of memory inside the kernel"
                      : thrown.what();
  return error;
}

}  // namespace warploom
