// The primary context of a device, current on the calling thread for the life of the object.
#pragma once

#include "cuda/driver.h"

namespace warploom::cuda {

class Current {
 public:
  Current(const Driver& driver, abi::CUcontext context) : driver_(driver) {
    driver_.check(driver_.ctxPushCurrent(context), "cuCtxPushCurrent");
  }
  ~Current() {
    abi::CUcontext popped = nullptr;
    driver_.ctxPopCurrent(&popped);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  const Driver& driver_;
};

}  // namespace warploom::cuda
