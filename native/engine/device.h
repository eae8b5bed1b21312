// One device of one environment: its backend, its memory and its stream. All methods belong to the JavaScript thread.
#pragma once

#include <memory>
#include <string>

#include "engine/allocator.h"
#include "engine/backend.h"
#include "engine/error.h"
#include "engine/recording.h"
#include "engine/stream.h"

namespace warploom {

class Device {
 public:
  Device(std::string name, std::unique_ptr<DeviceImpl> impl);
  ~Device();

  const std::string& name() const { return name_; }
  DeviceImpl& impl() { return *impl_; }
  Stream& stream() { return stream_; }
  Allocator& allocator() { return allocator_; }

  // Waits until all queued work is done, on the device too, and collects its index error.
  void synchronize();
  // Ends the stream and what the device has of its own; nothing runs and nobody is told anything afterwards.
  void stop();

  // A block, or null with `error` filled. When memory is short: waits for the stream, returns the cache to the system,
  // and tries once more.
  Block* take(std::size_t bytes, const char* op, Error& error);

  // Queues an op that touches `uses`, with scratch of the size its kernel asks for. False with `error` filled when
  // there is no memory for that.
  bool queue(const OpEntry& entry, const OpCodec& codec, void* args, const BlockUse* uses, int useCount, Error& error);

  // Queues the bytes of `source`, which are copied here, into `block` at `offset`. `whole`: they are all that will ever
  // be read of it, so a failure of the block's earlier life is forgotten.
  void upload(Block* block, std::size_t offset, const void* source, std::size_t bytes, bool whole);

  // Queues a job that settles `completion` with the bytes of block at `offset`; with none, it only waits.
  void read(Block* block, std::size_t offset, void* target, std::size_t bytes, Completion* completion);

  // Queues a copy of `bytes` at `offset` of `source`, which lies on another device, to the whole of `block`, on both
  // streams. Throws std::bad_alloc without host memory for the way.
  void receive(Block* block, Device& from, Block* source, std::size_t offset, std::size_t bytes);

  // Recording: jobs are both run and kept.
  Recording* recording = nullptr;
  void beginRecording(Recording* into);
  void endRecording();
  void replay(Recording& what);
  // Gives the recording's memory to the common pool; its jobs are deleted once those already queued have run.
  void forget(std::unique_ptr<Recording> what);

 private:
  // A job with room for its uses and a payload of at most `payload` bytes.
  JobHeader* reserve(JobKind kind, int uses, std::size_t payload);
  // Publishes a job that is filled in, moves its blocks' tickets, and records it.
  void publish(JobHeader* job);

  std::string name_;
  std::unique_ptr<DeviceImpl> impl_;
  Allocator allocator_;
  Stream stream_;
};

}  // namespace warploom
