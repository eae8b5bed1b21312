// Events. Their times are CPU times of the simulation and say nothing about a GPU.
#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

CUresult cuEventCreate(CUevent* event, unsigned flags) {
  return call(Api::cuEventCreate, 0, [&](Call& c) {
    require(event != nullptr && flags < 8, CUDA_ERROR_INVALID_VALUE);
    require((flags & 4) == 0 || (flags & 2) != 0, CUDA_ERROR_INVALID_VALUE);  // interprocess events have no timing
    auto made = std::make_unique<Event>();
    made->context = c.context;
    made->flags = flags;
    *event = made.get();
    c.driver.events[made.get()] = std::move(made);
  });
}

CUresult cuEventDestroy_v2(CUevent event) {
  return call(Api::cuEventDestroy_v2, kNoContext, [&](Call& c) {
    eventAt(c.driver, event);
    c.driver.events.erase(event);
  });
}

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
  return call(Api::cuEventRecordWithFlags, 0, [&](Call& c) {
    require(flags <= 1, CUDA_ERROR_INVALID_VALUE);
    Event& marked = eventAt(c.driver, event);
    Stream& target = streamAt(c, stream);
    require(marked.context->device == target.context->device, CUDA_ERROR_INVALID_HANDLE);
    if (target.capture != nullptr) {
      require(target.capture->valid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
      marked.capture = target.capture;
      marked.nodes = target.capture->frontier[&target];
      marked.job = nullptr;
      return;
    }
    marked.capture = nullptr;
    marked.nodes.clear();
    const auto stamp = std::make_shared<Stamp>();
    const JobPtr job = openJob(c, target);
    job->what = "event";
    job->perform = [stamp] {
      stamp->at = std::chrono::steady_clock::now();
      return Outcome{};
    };
    marked.stamp = stamp;
    marked.job = job;
    queueJob(c, target, job);
  });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  try {
    Driver::get().checkFailure(Api::cuEventRecord);
  } catch (const ApiError& error) {
    return error.code;
  }
  return cuEventRecordWithFlags(event, stream, 0);
}

CUresult cuEventQuery(CUevent event) {
  return call(Api::cuEventQuery, kNoContext, [&](Call& c) {
    Event& asked = eventAt(c.driver, event);
    checkSticky(*asked.context->device);
    if (asked.capture != nullptr) asked.capture->valid = false;
    require(asked.capture == nullptr, CUDA_ERROR_CAPTURED_EVENT);
    checkCaptures(c.driver);
    const JobPtr job = asked.job;
    Device& device = *asked.context->device;
    const bool done = c.schedule().poll(c.lock, job);
    checkSticky(device);
    require(done, CUDA_ERROR_NOT_READY);
  });
}

CUresult cuEventSynchronize(CUevent event) {
  return call(Api::cuEventSynchronize, kNoContext, [&](Call& c) {
    Event& asked = eventAt(c.driver, event);
    checkSticky(*asked.context->device);
    if (asked.capture != nullptr) asked.capture->valid = false;
    require(asked.capture == nullptr, CUDA_ERROR_CAPTURED_EVENT);
    checkCaptures(c.driver);
    const JobPtr job = asked.job;
    Device& device = *asked.context->device;
    c.schedule().wait(c.lock, job);
    checkSticky(device);
  });
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return call(Api::cuEventElapsedTime, kNoContext, [&](Call& c) {
    const Event& first = eventAt(c.driver, start);
    const Event& second = eventAt(c.driver, end);
    require(milliseconds != nullptr, CUDA_ERROR_INVALID_VALUE);
    checkSticky(*first.context->device);
    require(((first.flags | second.flags) & 2) == 0 && first.job != nullptr && second.job != nullptr,
            CUDA_ERROR_INVALID_HANDLE);
    require(first.job->done && second.job->done, CUDA_ERROR_NOT_READY);
    *milliseconds = std::chrono::duration<float, std::milli>(second.stamp->at - first.stamp->at).count();
  });
}
CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return cuEventElapsedTime(milliseconds, start, end);
}

}  // namespace warploom::cudasim
