// Streams: how work gets into them, and how it is waited for.
#include <algorithm>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

// A blocking stream that is capturing forbids the legacy stream, which would have to wait for it.
bool capturesBlocking(const Context& context) {
  for (const auto& stream : context.streams) {
    if ((stream.first->flags & 1) == 0 && stream.first->capture != nullptr) return true;
  }
  return false;
}

void releaseStream(Call& call, Context& context, Stream* stream) {
  // What it queued is still work that the legacy stream follows.
  if ((stream->flags & 1) == 0 && stream->last != nullptr) context.legacy.waits.push_back(stream->last);
  call.schedule().releaseLane(stream->lane);
  context.streams.erase(stream);
}

}  // namespace

void checkLegacyUse(Call& call, const Stream& stream) {
  if (!stream.legacy || !capturesBlocking(*stream.context)) return;
  for (const auto& other : stream.context->streams) {
    if ((other.first->flags & 1) == 0 && other.first->capture != nullptr) other.first->capture->valid = false;
  }
  (void)call;
  throw ApiError{CUDA_ERROR_STREAM_CAPTURE_IMPLICIT};
}

Stream& streamAt(Call& call, CUstream stream) {
  Context& context = *call.context;
  const auto handle = reinterpret_cast<uintptr_t>(stream);
  if (handle <= 1) {
    checkLegacyUse(call, context.legacy);
    return context.legacy;
  }
  if (handle == 2) {
    std::unique_ptr<Stream>& own = context.perThread[std::this_thread::get_id()];
    if (own == nullptr) {
      own = std::make_unique<Stream>();
      own->context = &context;
      own->id = ++call.driver.ids;
      own->lane = call.schedule().takeLane();
    }
    return *own;
  }
  for (const auto& owner : call.driver.contexts) {
    if (owner.first->streams.count(stream) == 0) continue;
    checkSticky(*owner.first->device);
    return *stream;
  }
  throw ApiError{CUDA_ERROR_INVALID_HANDLE};
}

JobPtr openJob(Call& call, Stream& stream) {
  (void)call;
  auto job = std::make_shared<Job>();
  job->lane = stream.lane;
  job->device = stream.context->device;
  const auto follow = [&](const JobPtr& before) {
    if (before != nullptr) job->after.push_back(before);
  };
  follow(stream.last);
  for (const JobPtr& event : stream.waits) follow(event);
  stream.waits.clear();
  Context& context = *stream.context;
  if (stream.legacy) {
    for (const auto& other : context.streams) {
      if ((other.first->flags & 1) == 0) follow(other.first->last);
    }
    for (const auto& other : context.perThread) follow(other.second->last);
  } else if ((stream.flags & 1) == 0) {
    follow(context.legacy.last);
  }
  return job;
}

void queueJob(Call& call, Stream& stream, const JobPtr& job) {
  stream.last = job;
  call.schedule().enqueue(call.lock, job);
}

JobPtr submit(Call& call, Stream& stream, Work&& work) {
  if (stream.capture != nullptr) {
    record(call, stream, std::move(work));
    return nullptr;
  }
  const JobPtr job = openJob(call, stream);
  work.stream = &stream;
  if (work.device == nullptr) work.device = job->device;
  prepareAsync(call, work, job);
  queueJob(call, stream, job);
  return job;
}

void waitFor(Call& call, const JobPtr& job) {
  Device* device = job == nullptr ? &call.device() : job->device;
  call.schedule().wait(call.lock, job);
  checkSticky(*device);
}

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  return call(Api::cuStreamCreateWithPriority, 0, [&](Call& c) {
    require(stream != nullptr && flags <= 1, CUDA_ERROR_INVALID_VALUE);
    auto made = std::make_unique<Stream>();
    made->context = c.context;
    made->flags = flags;
    made->priority = priority > 0 ? 0 : priority < -5 ? -5 : priority;
    made->id = ++c.driver.ids;
    made->lane = c.schedule().takeLane();
    *stream = made.get();
    c.context->streams[made.get()] = std::move(made);
  });
}

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  try {
    Driver::get().checkFailure(Api::cuStreamCreate);
  } catch (const ApiError& error) {
    return error.code;
  }
  return cuStreamCreateWithPriority(stream, flags, 0);
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  return call(Api::cuStreamDestroy_v2, kNoContext, [&](Call& c) {
    for (const auto& owner : c.driver.contexts) {
      if (owner.first->streams.count(stream) == 0) continue;
      require(stream->capture == nullptr, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
      // Its queued work still runs: the lane is taken again only when empty.
      releaseStream(c, *owner.first, stream);
      return;
    }
    throw ApiError{CUDA_ERROR_INVALID_HANDLE};
  });
}

CUresult cuStreamGetPriority(CUstream stream, int* priority) {
  return call(Api::cuStreamGetPriority, 0, [&](Call& c) {
    require(priority != nullptr, CUDA_ERROR_INVALID_VALUE);
    *priority = streamAt(c, stream).priority;
  });
}

CUresult cuStreamGetFlags(CUstream stream, unsigned* flags) {
  return call(Api::cuStreamGetFlags, 0, [&](Call& c) {
    require(flags != nullptr, CUDA_ERROR_INVALID_VALUE);
    *flags = streamAt(c, stream).flags;
  });
}

CUresult cuStreamGetId(CUstream stream, unsigned long long* id) {
  return call(Api::cuStreamGetId, 0, [&](Call& c) {
    require(id != nullptr, CUDA_ERROR_INVALID_VALUE);
    *id = streamAt(c, stream).id;
  });
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) {
  return call(Api::cuStreamGetCtx, 0, [&](Call& c) {
    require(context != nullptr, CUDA_ERROR_INVALID_VALUE);
    *context = streamAt(c, stream).context;
  });
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  return call(Api::cuStreamWaitEvent, 0, [&](Call& c) {
    require(flags <= 1, CUDA_ERROR_INVALID_VALUE);
    Stream& waiting = streamAt(c, stream);
    Event& reached = eventAt(c.driver, event);
    if (reached.capture != nullptr) {
      const std::shared_ptr<Capture>& capture = reached.capture;
      require(capture->valid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
      require(!waiting.legacy, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
      if (waiting.capture != nullptr && waiting.capture != capture) {
        waiting.capture->valid = capture->valid = false;
        throw ApiError{CUDA_ERROR_STREAM_CAPTURE_MERGE};
      }
      waiting.capture = capture;  // the stream joins
      std::vector<Node*>& frontier = capture->frontier[&waiting];
      for (Node* node : reached.nodes) {
        if (std::find(frontier.begin(), frontier.end(), node) == frontier.end()) frontier.push_back(node);
      }
      return;
    }
    if (waiting.capture != nullptr && reached.job != nullptr) {
      waiting.capture->valid = false;
      throw ApiError{CUDA_ERROR_STREAM_CAPTURE_ISOLATION};
    }
    if (reached.job != nullptr) waiting.waits.push_back(reached.job);
  });
}

CUresult cuStreamQuery(CUstream stream) {
  return call(Api::cuStreamQuery, 0, [&](Call& c) {
    Stream& asked = streamAt(c, stream);
    if (asked.capture != nullptr) asked.capture->valid = false;
    require(asked.capture == nullptr, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    checkCaptures(c.driver);
    const bool done = c.schedule().poll(c.lock, asked.last);
    checkSticky(*asked.context->device);
    require(done, CUDA_ERROR_NOT_READY);
  });
}

CUresult cuStreamSynchronize(CUstream stream) {
  return call(Api::cuStreamSynchronize, 0, [&](Call& c) {
    Stream& asked = streamAt(c, stream);
    if (asked.capture != nullptr) asked.capture->valid = false;
    require(asked.capture == nullptr, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    checkCaptures(c.driver);
    // Waiting for the legacy stream is waiting for everything that it would follow.
    if (asked.legacy || !asked.waits.empty()) queueJob(c, asked, openJob(c, asked));
    waitFor(c, asked.last);
  });
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn fn, void* userData) {
  return call(Api::cuLaunchHostFunc, 0, [&](Call& c) {
    Stream& target = streamAt(c, stream);
    submit(c, target, hostWork(c, fn, userData));
  });
}

CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void* userData, unsigned flags) {
  return call(Api::cuStreamAddCallback, 0, [&](Call& c) {
    require(callback != nullptr && flags == 0, CUDA_ERROR_INVALID_VALUE);
    Stream& target = streamAt(c, stream);
    if (target.capture != nullptr) target.capture->valid = false;
    require(target.capture == nullptr, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    Work work;
    work.kind = Work::Kind::callback;
    work.callback = callback;
    work.userData = userData;
    submit(c, target, std::move(work));
  });
}

}  // namespace warploom::cudasim
