// Copies from one CUDA device to another.
#pragma once

#include <memory>

#include "cuda/context.h"
#include "engine/peer.h"

namespace warploom::cuda {

// One end of such a copy.
struct PeerEnd {
  abi::CUcontext primary;
  abi::CUstream stream;
  CudaContext* context;     // used on the stream's thread only
  IndexErrorWord* carried;  // room for another device's word
};

std::unique_ptr<PeerCopy> peerCopy(const PeerEnd& source, const void* from, const PeerEnd& target, void* to,
                                   std::size_t bytes);

}  // namespace warploom::cuda
