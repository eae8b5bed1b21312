#include "engine/device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "engine/transfer.h"

namespace warploom {
namespace {

constexpr std::size_t kInlineUpload = 512;  // bytes that travel inside the job

}  // namespace

Device::Device(std::string name, std::unique_ptr<DeviceImpl> impl)
    : name_(std::move(name)), impl_(std::move(impl)), allocator_(*impl_), stream_(*impl_) {}

Device::~Device() { stop(); }

void Device::stop() {
  stream_.stop();
  impl_->stop();
}

void Device::synchronize() {
  stream_.drain();
  IndexErrorInfo info;
  if (impl_->finish(info)) stream_.notePendingIndex(info);
}

Block* Device::take(std::size_t bytes, const char* op, Error& error) {
  try {
    if (Block* block = allocator_.take(bytes)) return block;
    stream_.drain();
    allocator_.dropCache(stream_.completed());
    if (Block* block = allocator_.take(bytes)) return block;
  } catch (const std::exception& thrown) {
    error = errorOf(thrown, op);
    return nullptr;
  }
  const MemoryStatistics& memory = allocator_.statistics();
  error.code = ErrorCode::outOfMemory;
  error.op = op;
  error.requested = static_cast<int64_t>(bytes);
  error.active = static_cast<int64_t>(memory.active);
  error.limit = static_cast<int64_t>(memory.limit);
  error.message = "out of memory on " + name_;
  return nullptr;
}

JobHeader* Device::reserve(JobKind kind, int uses, std::size_t payload) {
  JobHeader* job = stream_.reserve(
      static_cast<uint32_t>(sizeof(JobHeader) + static_cast<std::size_t>(uses) * sizeof(BlockUse) + 16 + payload));
  *job = {job->bytes, kind, static_cast<uint16_t>(uses), nullptr, nullptr, nullptr};
  return job;
}

void Device::publish(JobHeader* job) {
  if (recording != nullptr) {
    recording->append(job);
    for (int i = 0; i < job->uses; ++i) recording->blocks.push_back(jobUses(job)[i].block());
  }
  // The uses are read before the job becomes visible: afterwards its bytes belong to the stream's thread.
  const uint64_t ticket = stream_.issued() + job->bytes;
  for (int i = 0; i < job->uses; ++i) jobUses(job)[i].block()->lastUse = ticket;
  stream_.publish();
}

bool Device::queue(const OpEntry& entry, const OpCodec& codec, void* args, const BlockUse* uses, int useCount,
                   Error& error) {
  if (entry.refuses != nullptr) {
    if (const char* why = entry.refuses(args)) {
      error = Error();
      error.code = ErrorCode::notSupported;
      error.op = codec.name;
      error.message = why;
      return false;
    }
  }
  Block* scratch = nullptr;
  if (entry.scratchBytes != nullptr) {
    const int64_t bytes = entry.scratchBytes(args, impl_->context().lanes());
    if (bytes > 0) {
      scratch = take(static_cast<std::size_t>(bytes), codec.name, error);
      if (scratch == nullptr) return false;
    }
  }
  // Packed outside the ring first: only the bytes in use should travel.
  alignas(16) unsigned char packed[4096];
  const uint32_t bytes = codec.pack(args, packed);
  JobHeader* job = reserve(JobKind::op, useCount, bytes);
  job->entry = &entry;
  job->codec = &codec;
  job->scratch = scratch != nullptr ? scratch->data : nullptr;
  std::memcpy(jobUses(job), uses, static_cast<std::size_t>(useCount) * sizeof(BlockUse));
  std::memcpy(jobPayload(job), packed, bytes);
  publish(job);
  if (scratch != nullptr) {
    // Given back at once: whoever takes it next is queued behind this job.
    scratch->lastUse = stream_.issued();
    allocator_.give(scratch);
  }
  return true;
}

void Device::upload(Block* block, std::size_t offset, const void* source, std::size_t bytes, bool whole) {
  char* target = static_cast<char*>(block->data) + offset;
  // everFailed() is asked after completed(): a job that fails says so before it counts as done.
  if (impl_->hostVisible() && recording == nullptr && block->lastUse <= stream_.completed() && !stream_.everFailed()) {
    std::memcpy(target, source, bytes);
    return;
  }
  const bool inlined = bytes <= kInlineUpload;
  JobHeader* job = reserve(JobKind::upload, 1, sizeof(UploadPayload) + (inlined ? bytes : 0));
  jobUses(job)[0] = BlockUse::of(block, whole ? Access::fresh : Access::write);
  auto* payload = static_cast<UploadPayload*>(jobPayload(job));
  payload->target = target;
  payload->bytes = bytes;
  payload->owned = false;
  payload->source = nullptr;
  if (inlined) {
    std::memcpy(payload + 1, source, bytes);
  } else {
    payload->source = std::malloc(bytes);
    if (payload->source == nullptr) throw std::bad_alloc();
    std::memcpy(payload->source, source, bytes);
    // While recording, the recording owns the copy, and replays it.
    if (recording != nullptr) {
      recording->payloads.push_back(payload->source);
    } else {
      payload->owned = true;
    }
  }
  publish(job);
}

void Device::read(Block* block, std::size_t offset, void* target, std::size_t bytes, Completion* completion) {
  JobHeader* job = reserve(JobKind::read, 1, sizeof(ReadPayload));
  jobUses(job)[0] = BlockUse::of(block, Access::read);
  *static_cast<ReadPayload*>(jobPayload(job)) = {static_cast<const char*>(block->data) + offset, target, bytes,
                                                 completion};
  publish(job);
}

void Device::receive(Block* block, Device& from, Block* source, std::size_t offset, std::size_t bytes) {
  const void* data = static_cast<const char*>(source->data) + offset;
  auto* peer = dynamic_cast<PeerDevice*>(impl_.get());
  if (std::unique_ptr<PeerCopy> copy = peer ? peer->copyFromPeer(*from.impl_, data, block->data, bytes) : nullptr) {
    auto* shared = new PeerTransfer(std::move(copy));
    const auto step = [&](Device& device, JobKind kind, BlockUse use) {
      JobHeader* job = device.reserve(kind, 1, sizeof(PeerPayload));
      jobUses(job)[0] = use;
      *static_cast<PeerPayload*>(jobPayload(job)) = {shared};
      device.publish(job);
    };
    step(from, JobKind::send, BlockUse::of(source, Access::read));
    step(*this, JobKind::take, BlockUse::of(block, Access::fresh));
    step(from, JobKind::settle, BlockUse::of(source, Access::read));
    return;
  }
  auto* transfer = new Transfer(bytes);
  from.read(source, offset, transfer->buffer, bytes, transfer);
  JobHeader* job = reserve(JobKind::receive, 1, sizeof(ReceivePayload));
  jobUses(job)[0] = BlockUse::of(block, Access::fresh);
  *static_cast<ReceivePayload*>(jobPayload(job)) = {block->data, bytes, transfer};
  publish(job);
}

void Device::beginRecording(Recording* into) {
  recording = into;
  allocator_.beginPrivate(&into->pool);
}

void Device::endRecording() {
  // Each block once: a replay walks this list.
  std::vector<Block*>& blocks = recording->blocks;
  std::sort(blocks.begin(), blocks.end());
  blocks.erase(std::unique(blocks.begin(), blocks.end()), blocks.end());
  recording = nullptr;
  allocator_.endPrivate();
}

void Device::replay(Recording& what) {
  JobHeader* job = reserve(JobKind::replay, 0, sizeof(ReplayPayload));
  *static_cast<ReplayPayload*>(jobPayload(job)) = {&what};
  publish(job);
  for (Block* block : what.blocks) block->lastUse = stream_.issued();
}

void Device::forget(std::unique_ptr<Recording> what) {
  allocator_.adopt(what->pool);
  JobHeader* job = reserve(JobKind::forget, 0, sizeof(ReplayPayload));
  *static_cast<ReplayPayload*>(jobPayload(job)) = {what.release()};
  publish(job);
}

}  // namespace warploom
