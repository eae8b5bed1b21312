#include "cuda/peer.h"

#include <utility>

#include "cuda/current.h"

namespace warploom::cuda {
namespace {

// Ordered by two events: the target's stream waits for the source's before it copies, and the source's stream waits for
// the target's before anything that comes later there may write to what is copied, or take over its memory. Threads
// wait for each other only until the other has told the driver.
class CudaPeerCopy final : public PeerCopy {
 public:
  CudaPeerCopy(const PeerEnd& source, const void* from, const PeerEnd& target, void* to, std::size_t bytes)
      : driver_(source.context->driver()), source_(source), target_(target), from_(from), to_(to), bytes_(bytes) {}
  ~CudaPeerCopy() override {
    // What waits for an event no longer needs its handle.
    if (ready_ != nullptr) driver_.eventDestroy(ready_);
    if (copied_ != nullptr) driver_.eventDestroy(copied_);
  }

  void send() override {
    Current current(driver_, source_.primary);
    ready_ = marked(source_);
    carries_ = std::exchange(source_.context->mayReport, false);
  }

  void take() override {
    Current current(driver_, target_.primary);
    check(driver_.streamWaitEvent(target_.stream, ready_, 0), "cuStreamWaitEvent");
    if (carries_) {
      // Who reads the copy is told what he would have been told on the source.
      target_.context->copyFromPeer(target_.carried, source_.context->errorWord, source_.primary,
                                    sizeof(IndexErrorWord));
      target_.context->launch("copy", "carry_index_error", {1}, {1}, 0, target_.context->indexErrors(),
                              target_.carried);
    }
    target_.context->copyFromPeer(to_, from_, source_.primary, bytes_);
    copied_ = marked(target_);
  }

  void settle() override {
    Current current(driver_, source_.primary);
    if (copied_ == nullptr) {
      source_.context->mayReport = source_.context->mayReport || carries_;
      return;
    }
    check(driver_.streamWaitEvent(source_.stream, copied_, 0), "cuStreamWaitEvent");
    if (carries_) source_.context->fill(source_.context->errorWord, 0, sizeof(IndexErrorWord));
  }

 private:
  void check(abi::CUresult result, const char* call) const {
    if (result != abi::CUDA_SUCCESS) refuse(driver_, result, call);
  }
  // An event behind everything that the stream has been told so far.
  abi::CUevent marked(const PeerEnd& end) const {
    abi::CUevent event = nullptr;
    check(driver_.eventCreate(&event, abi::CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    const abi::CUresult recorded = driver_.eventRecord(event, end.stream);
    if (recorded != abi::CUDA_SUCCESS) driver_.eventDestroy(event);
    check(recorded, "cuEventRecord");
    return event;
  }

  const Driver& driver_;
  const PeerEnd source_, target_;
  const void* const from_;
  void* const to_;
  const std::size_t bytes_;
  abi::CUevent ready_ = nullptr, copied_ = nullptr;
  bool carries_ = false;  // the source's word for index errors goes along
};

}  // namespace

std::unique_ptr<PeerCopy> peerCopy(const PeerEnd& source, const void* from, const PeerEnd& target, void* to,
                                   std::size_t bytes) {
  return std::make_unique<CudaPeerCopy>(source, from, target, to, bytes);
}

}  // namespace warploom::cuda
