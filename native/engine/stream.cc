#include "engine/stream.h"

#include <chrono>
#include <cstdlib>
#include <utility>

#include "engine/futex.h"
#include "engine/recording.h"
#include "engine/transfer.h"

namespace warploom {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);
constexpr int kPauses = 8;

}  // namespace

// The ring is written once here, so that its pages are there before the first job needs them.
Stream::Stream(DeviceImpl& device)
    : device_(device), context_(device.context()), memory_(new unsigned char[kCapacity + 64]()) {
  ring_ = reinterpret_cast<unsigned char*>((reinterpret_cast<uintptr_t>(memory_.get()) + 63) & ~uintptr_t{63});
  thread_ = std::thread([this] { work(); });
}

Stream::~Stream() { stop(); }

JobHeader* Stream::reserve(uint32_t bytes) {
  bytes = (bytes + 63) & ~uint32_t{63};
  const uint64_t offset = tail_ & (kCapacity - 1);
  const uint64_t left = kCapacity - offset;
  const uint64_t needed = left < bytes ? left + bytes : bytes;
  // The other thread's counter is looked at only when the queue seems full: each look costs a cache line's trip.
  if (tail_ + needed - headSeen_ > kCapacity) {
    while (tail_ + needed - (headSeen_ = head_.load(std::memory_order_acquire)) > kCapacity) {
      // A full queue blocks the caller: the alternative is memory without bound.
      waiting_.store(1, std::memory_order_seq_cst);
      if (tail_ + needed - head_.load(std::memory_order_seq_cst) > kCapacity) futexWait(&waiting_, 1);
    }
  }
  if (left < bytes) {
    auto* skip = reinterpret_cast<JobHeader*>(ring_ + offset);
    skip->bytes = static_cast<uint32_t>(left);
    skip->kind = JobKind::skip;
    tail_ += left;
  }
  reserved_ = bytes;
  auto* job = reinterpret_cast<JobHeader*>(ring_ + (tail_ & (kCapacity - 1)));
  job->bytes = bytes;
  return job;
}

uint64_t Stream::publish() {
  tail_ += reserved_;
  // seq_cst on both sides: either this thread sees the flag, or the stream's thread sees the job.
  published_.store(tail_, std::memory_order_seq_cst);
  if (parked_.load(std::memory_order_seq_cst) != 0) {
    parked_.store(0, std::memory_order_seq_cst);
    futexWake(&parked_);
  }
  return tail_;
}

void Stream::drain() {
  const uint64_t target = tail_;
  const auto until = std::chrono::steady_clock::now() + kSpin;
  while (head_.load(std::memory_order_acquire) < target) {
    if (std::chrono::steady_clock::now() < until) {
      relax();
      continue;
    }
    waiting_.store(1, std::memory_order_seq_cst);
    if (head_.load(std::memory_order_seq_cst) < target) futexWait(&waiting_, 1);
  }
}

void Stream::wakeProducer() {
  waiting_.store(0, std::memory_order_seq_cst);
  futexWake(&waiting_);
}

bool Stream::waitForWork(uint64_t position) {
  // Once more, in the one order of all sequentially consistent operations: either this thread sees a producer that is
  // about to sleep, or that producer sees this position.
  head_.store(position, std::memory_order_seq_cst);
  if (waiting_.load(std::memory_order_seq_cst) != 0) wakeProducer();
  const auto until = std::chrono::steady_clock::now() + kSpin;
  do {
    if (published_.load(std::memory_order_acquire) != position) return true;
    if (stopping_.load(std::memory_order_acquire)) return false;
    // A pause between looks lets the producer write several jobs before its line is taken away.
    for (int i = 0; i < kPauses; ++i) relax();
  } while (std::chrono::steady_clock::now() < until);
  for (;;) {
    parked_.store(1, std::memory_order_seq_cst);
    if (published_.load(std::memory_order_seq_cst) != position || stopping_.load(std::memory_order_seq_cst)) {
      parked_.store(0, std::memory_order_relaxed);
      return !stopping_.load(std::memory_order_acquire);
    }
    futexWait(&parked_, 1);
  }
}

void Stream::work() {
  uint64_t position = 0;
  uint64_t end = 0;  // published_ when last looked at
  while (!stopping_.load(std::memory_order_acquire)) {
    if (position == end) {
      end = published_.load(std::memory_order_acquire);
      if (position == end) {
        if (!waitForWork(position)) break;
        continue;
      }
    }
    auto* job = reinterpret_cast<JobHeader*>(ring_ + (position & (kCapacity - 1)));
    const uint32_t bytes = job->bytes;
    if (job->kind != JobKind::skip) runOne(job);
    position += bytes;
    head_.store(position, std::memory_order_release);
    // A sleeper missed here, since store and load may pass each other, is seen after the next job or in waitForWork().
    if (waiting_.load(std::memory_order_relaxed) != 0) wakeProducer();
  }
  // What was never begun still owns memory.
  end = published_.load(std::memory_order_acquire);
  while (position < end) {
    auto* job = reinterpret_cast<JobHeader*>(ring_ + (position & (kCapacity - 1)));
    position += job->bytes;
    discard(job);
  }
}

void Stream::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_seq_cst);
  context_.cancel();
  parked_.store(0, std::memory_order_seq_cst);
  futexWake(&parked_);
  thread_.join();
}

void Stream::runOne(JobHeader* job) {
  switch (job->kind) {
    case JobKind::op:
      runOp(job);
      break;
    case JobKind::upload: {
      auto* upload = static_cast<UploadPayload*>(jobPayload(job));
      const void* source = upload->source != nullptr ? upload->source : upload + 1;
      Error error;
      try {
        device_.copyFromHost(upload->target, source, upload->bytes);
      } catch (const std::exception& thrown) {
        error = errorOf(thrown, "upload");
      }
      if (upload->owned) std::free(upload->source);
      if (error) {
        spoil(job, error);
        break;
      }
      for (int i = 0; i < job->uses; ++i) {
        if (jobUses(job)[i].access() == Access::fresh) jobUses(job)[i].block()->poison = 0;
      }
      break;
    }
    case JobKind::read:
      settleRead(job, *static_cast<ReadPayload*>(jobPayload(job)));
      break;
    case JobKind::receive:
      receive(job, *static_cast<ReceivePayload*>(jobPayload(job)));
      break;
    case JobKind::send:
      send(job, *static_cast<PeerPayload*>(jobPayload(job))->transfer);
      break;
    case JobKind::take:
      take(job, *static_cast<PeerPayload*>(jobPayload(job))->transfer);
      break;
    case JobKind::settle:
      settle(*static_cast<PeerPayload*>(jobPayload(job))->transfer);
      break;
    case JobKind::replay:
      replay(*static_cast<ReplayPayload*>(jobPayload(job))->recording);
      break;
    case JobKind::forget:
      delete static_cast<ReplayPayload*>(jobPayload(job))->recording;
      break;
    case JobKind::skip:
      break;
  }
}

void Stream::discard(JobHeader* job) {
  if (job->kind == JobKind::upload) {
    auto* upload = static_cast<UploadPayload*>(jobPayload(job));
    if (upload->owned) std::free(upload->source);
  } else if (job->kind == JobKind::read) {
    static_cast<ReadPayload*>(jobPayload(job))->completion->abandon();
  } else if (job->kind == JobKind::receive) {
    static_cast<ReceivePayload*>(jobPayload(job))->transfer->release();
  } else if (job->kind == JobKind::send || job->kind == JobKind::take || job->kind == JobKind::settle) {
    PeerTransfer& transfer = *static_cast<PeerPayload*>(jobPayload(job))->transfer;
    if (job->kind == JobKind::send) transfer.error = stoppedBeforeCopy();
    if (job->kind != JobKind::settle) {
      transfer.reach(job->kind == JobKind::send ? PeerTransfer::sent : PeerTransfer::taken);
    }
    transfer.release();
  } else if (job->kind == JobKind::forget) {
    delete static_cast<ReplayPayload*>(jobPayload(job))->recording;
  }
}

void Stream::runOp(JobHeader* job) {
  if (!failures_.empty()) {
    if (const Error* spoiled = poisonOf(job)) {
      poisonOutputs(job, 1 + static_cast<int32_t>(spoiled - failures_.data()));
      return;
    }
  }
  context_.scratch_ = job->scratch;
  Error error;
  alignas(64) unsigned char args[4096];
  try {
    job->codec->unpack(jobPayload(job), args);
    job->entry->run(args, context_);
    std::string message;
    if (context_.takeFailure(message)) {
      error.code = ErrorCode::failed;
      error.op = job->codec->name;
      error.message = message;
    }
  } catch (const std::exception& thrown) {
    error = errorOf(thrown, job->codec->name);
  }
  collectIndexError();
  if (error) {
    spoil(job, error);
  } else if (!failures_.empty()) {
    for (int i = 0; i < job->uses; ++i) {
      if (jobUses(job)[i].access() == Access::fresh) jobUses(job)[i].block()->poison = 0;
    }
  }
}

void Stream::spoil(JobHeader* job, const Error& error) {
  failures_.push_back(error);
  everFailed_.store(true, std::memory_order_relaxed);
  notePending(pendingFailure_, error);
  poisonOutputs(job, static_cast<int32_t>(failures_.size()));
}

// A device that builds graphs is given the jobs once, instead of running them.
void Stream::buildGraph(Recording& recording) {
  recording.graphTried = true;
  if (!device_.beginGraph()) return;
  runJobs(recording);
  recording.graph = device_.endGraph();
  if (!failures_.empty()) recording.graph.reset();
}

// Once anything has failed, jobs are replayed one by one: a graph knows nothing of spoiled inputs.
void Stream::replay(Recording& recording) {
  Error error;
  try {
    if (!recording.graphTried && failures_.empty()) buildGraph(recording);
    if (recording.graph != nullptr && failures_.empty()) {
      recording.graph->launch();
      return;
    }
  } catch (const std::exception& thrown) {
    error = errorOf(thrown, "replay");
  }
  if (!error) {
    runJobs(recording);
    return;
  }
  auto* at = reinterpret_cast<unsigned char*>(recording.jobs.data());
  auto* end = at + recording.jobs.size() * sizeof(Recording::Unit);
  while (at < end) {
    auto* job = reinterpret_cast<JobHeader*>(at);
    spoil(job, error);
    at += job->bytes;
  }
}

void Stream::runJobs(Recording& recording) {
  auto* at = reinterpret_cast<unsigned char*>(recording.jobs.data());
  auto* end = at + recording.jobs.size() * sizeof(Recording::Unit);
  while (at < end && !stopping_.load(std::memory_order_relaxed)) {
    auto* job = reinterpret_cast<JobHeader*>(at);
    runOne(job);
    at += job->bytes;
  }
}

const Error* Stream::poisonOf(JobHeader* job) {
  for (int i = 0; i < job->uses; ++i) {
    const BlockUse use = jobUses(job)[i];
    if (use.access() != Access::fresh && use.block()->poison != 0) return &failures_[use.block()->poison - 1];
  }
  return nullptr;
}

void Stream::poisonOutputs(JobHeader* job, int32_t mark) {
  for (int i = 0; i < job->uses; ++i) {
    if (jobUses(job)[i].access() != Access::read) jobUses(job)[i].block()->poison = mark;
  }
}

void Stream::collectIndexError() {
  IndexErrorInfo info;
  if (!context_.takeIndexError(info)) return;
  notePending(pendingIndex_, indexError(info));
}

// What a job that carries bytes away has to tell with them.
Error Stream::errorToTell(JobHeader* job) {
  const Error* spoiled = poisonOf(job);
  std::lock_guard<std::mutex> lock(pendingMutex_);
  if (spoiled == nullptr) return std::exchange(pendingIndex_, Error());
  pendingFailure_ = Error();
  return *spoiled;
}

void Stream::settleRead(JobHeader* job, ReadPayload& read) {
  read.completion->error = errorToTell(job);
  try {
    if (!read.completion->error && !device_.copyToHost(read.target, read.source, read.bytes, *read.completion)) return;
  } catch (const std::exception& error) {
    read.completion->error = errorOf(error, "read");
  }
  read.completion->post();
}

void Stream::receive(JobHeader* job, ReceivePayload& payload) {
  payload.transfer->wait();
  Error error = payload.transfer->error;
  if (!error) {
    try {
      device_.copyFromHost(payload.target, payload.transfer->buffer, payload.bytes);
    } catch (const std::exception& thrown) {
      error = errorOf(thrown, "to");
    }
  }
  payload.transfer->release();
  if (error) {
    spoil(job, error);
  } else {
    jobUses(job)[0].block()->poison = 0;
  }
}

void Stream::send(JobHeader* job, PeerTransfer& transfer) {
  transfer.error = errorToTell(job);
  if (!transfer.error) {
    try {
      transfer.copy->send();
    } catch (const std::exception& thrown) {
      transfer.error = errorOf(thrown, "to");
    }
  }
  transfer.reach(PeerTransfer::sent);
  transfer.release();
}

void Stream::take(JobHeader* job, PeerTransfer& transfer) {
  transfer.wait(PeerTransfer::sent);
  Error error = transfer.error;
  if (!error) {
    try {
      transfer.copy->take();
    } catch (const std::exception& thrown) {
      error = errorOf(thrown, "to");
    }
  }
  transfer.reach(PeerTransfer::taken);
  transfer.release();
  if (error) {
    spoil(job, error);
  } else {
    jobUses(job)[0].block()->poison = 0;
  }
}

void Stream::settle(PeerTransfer& transfer) {
  transfer.wait(PeerTransfer::taken);
  try {
    transfer.copy->settle();
  } catch (const std::exception&) {
    // What is wrong with the device shows at its next job or read.
  }
  transfer.release();
}

void Stream::notePendingIndex(const IndexErrorInfo& info) { notePending(pendingIndex_, indexError(info)); }

void Stream::notePending(Error& slot, const Error& error) {
  std::lock_guard<std::mutex> lock(pendingMutex_);
  if (!slot) slot = error;
}

bool Stream::takePendingError(Error& error) {
  std::lock_guard<std::mutex> lock(pendingMutex_);
  error = std::exchange(pendingIndex_ ? pendingIndex_ : pendingFailure_, Error());
  return static_cast<bool>(error);
}

}  // namespace warploom
