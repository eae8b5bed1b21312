// The records of a stream's queue. A job is a header, the blocks it touches, and a payload: an op's packed arguments,
// or the fields of an upload, a read, a replay. Everything is plain bytes, so a recording is a copy of them.
#pragma once

#include <cstdint>

#include "engine/allocator.h"
#include "engine/codec.h"
#include "engine/error.h"

namespace warploom {

enum class JobKind : uint16_t { op, upload, read, receive, send, take, settle, replay, forget, skip };

// How a job touches a block. `fresh`: an output allocated for it, which no earlier failure may spoil.
enum class Access : uintptr_t { read = 0, write = 1, fresh = 2 };

struct BlockUse {
  uintptr_t tagged;  // Block* with the Access in its two low bits
  static BlockUse of(Block* block, Access access) {
    return {reinterpret_cast<uintptr_t>(block) | static_cast<uintptr_t>(access)};
  }
  Block* block() const { return reinterpret_cast<Block*>(tagged & ~uintptr_t{3}); }
  Access access() const { return static_cast<Access>(tagged & 3); }
};

struct alignas(16) JobHeader {
  uint32_t bytes;  // of the whole job, a multiple of 64
  JobKind kind;
  uint16_t uses;
  const OpEntry* entry;  // op
  const OpCodec* codec;  // op: how the payload becomes an argument struct
  void* scratch;         // op
};

inline BlockUse* jobUses(JobHeader* job) { return reinterpret_cast<BlockUse*>(job + 1); }
inline void* jobPayload(JobHeader* job) {
  // Payloads hold 64-bit fields and pointers: 16-byte alignment is enough.
  const uintptr_t at = reinterpret_cast<uintptr_t>(jobUses(job) + job->uses);
  return reinterpret_cast<void*>((at + 15) & ~uintptr_t{15});
}

// Somebody who waits for the stream. Exactly one of the two is called, once, by the stream's thread or by one of the
// device's own: `post` when the bytes are there or `error` says why not, `abandon` when the stream stops first.
// Destroying it is the owner's business, on the JavaScript thread.
struct Completion : Arrival {
  virtual void post() = 0;
  virtual void abandon() = 0;
  void arrived(const IndexErrorInfo* offender, const char* lost) final {
    if (lost != nullptr) {
      error.code = ErrorCode::deviceLost;
      error.message = lost;
    } else if (offender != nullptr) {
      error = indexError(*offender);
    }
    post();
  }
  Error error;
};

struct UploadPayload {
  void* target;
  uint64_t bytes;
  void* source;  // malloc'ed; null: the bytes follow this struct
  bool owned;    // freed once copied (false inside a recording, which owns its copy)
};

struct ReadPayload {
  const void* source;
  void* target;
  uint64_t bytes;
  Completion* completion;
};

class Recording;
struct ReplayPayload {
  Recording* recording;
};

}  // namespace warploom
