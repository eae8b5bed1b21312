// One in-order queue of jobs and the thread that runs them. One producer (the JavaScript thread of the owning
// environment), one consumer (the stream's thread), no lock between them. A ticket is the queue position behind a job.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/backend.h"
#include "engine/job.h"

namespace warploom {

class Recording;
struct ReceivePayload;
class PeerTransfer;

class Stream {
 public:
  explicit Stream(DeviceImpl& device);
  ~Stream();  // stops
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Producer side. reserve() gives room for a job of `bytes` (header included), waiting while the queue is full; fill
  // it in, then publish() makes it visible and returns its ticket.
  JobHeader* reserve(uint32_t bytes);
  uint64_t publish();

  uint64_t issued() const { return tail_; }
  uint64_t completed() const { return head_.load(std::memory_order_acquire); }
  // Waits on the calling thread until everything issued has run.
  void drain();

  // True once any job has failed: from then on fresh memory may carry an old mark.
  bool everFailed() const { return everFailed_.load(std::memory_order_relaxed); }
  // The error that nothing has reported yet: an index error, else a failed job. Any thread.
  bool takePendingError(Error& error);
  // Keeps an index error that the device told of when it was asked. Any thread.
  void notePendingIndex(const IndexErrorInfo& info);

  // Drops what has not begun, asks the running kernel to return early, joins.
  void stop();

 private:
  static constexpr uint64_t kCapacity = 1 << 20;  // bytes; a power of two

  void work();
  void runOne(JobHeader* job);
  void runOp(JobHeader* job);
  void replay(Recording& recording);
  void buildGraph(Recording& recording);
  void runJobs(Recording& recording);
  void discard(JobHeader* job);
  bool waitForWork(uint64_t position);
  void wakeProducer();
  const Error* poisonOf(JobHeader* job);
  void receive(JobHeader* job, ReceivePayload& payload);
  void send(JobHeader* job, PeerTransfer& transfer);
  void take(JobHeader* job, PeerTransfer& transfer);
  void settle(PeerTransfer& transfer);
  Error errorToTell(JobHeader* job);
  void poisonOutputs(JobHeader* job, int32_t mark);
  // Keeps the error for whoever reads the job's outputs.
  void spoil(JobHeader* job, const Error& error);
  void collectIndexError();
  void settleRead(JobHeader* job, ReadPayload& read);
  void notePending(Error& slot, const Error& error);

  DeviceImpl& device_;
  Context& context_;
  std::unique_ptr<unsigned char[]> memory_;
  unsigned char* ring_;  // 64-byte aligned

  // Producer
  uint64_t tail_ = 0;
  uint32_t reserved_ = 0;
  uint64_t headSeen_ = 0;  // head_ when last looked at

  alignas(64) std::atomic<uint64_t> published_{0};
  std::atomic<uint32_t> parked_{0};  // 1 while the stream's thread sleeps
  alignas(64) std::atomic<uint64_t> head_{0};
  std::atomic<uint32_t> waiting_{0};  // 1 while the producer sleeps until head_ moves
  std::atomic<bool> stopping_{false};
  std::atomic<bool> everFailed_{false};

  // Stream thread
  std::vector<Error> failures_;

  std::mutex pendingMutex_;
  Error pendingIndex_;    // told by the next read, whatever it reads: its values cannot be trusted
  Error pendingFailure_;  // told by a read of what it spoiled, or else at exit

  std::thread thread_;
};

}  // namespace warploom
