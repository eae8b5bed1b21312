// Copies from one device to another of the same backend which the two order between themselves, so that neither host
// memory nor a thread that waits for a device stands between them.
#pragma once

#include <cstddef>
#include <memory>

#include "engine/backend.h"

namespace warploom {

// One copy. One after another: `send` on the source's stream thread, unless its bytes are spoiled; `take` on the
// target's, unless there was no `send` or it threw; `settle` on the source's, in any case. Destroyed on any thread.
class PeerCopy {
 public:
  virtual ~PeerCopy() = default;
  virtual void send() = 0;    // what was begun on the source comes before the copy
  virtual void take() = 0;    // begins the copy
  virtual void settle() = 0;  // what is begun on the source from now on comes behind the copy, where there is one
};

// What a DeviceImpl is besides where it can do that.
class PeerDevice {
 public:
  virtual ~PeerDevice() = default;
  // A copy of `bytes` at `from`, which is memory of `source`, to `to`, which is of this device; null where the two can
  // only pass bytes through host memory. Called on the JavaScript thread.
  virtual std::unique_ptr<PeerCopy> copyFromPeer(DeviceImpl& source, const void* from, void* to, std::size_t bytes) = 0;
};

}  // namespace warploom
