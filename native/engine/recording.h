// Jobs recorded once and replayed as one. The job bytes are read by the stream's thread; everything else belongs to the
// JavaScript thread.
#pragma once

#include <cstdlib>
#include <memory>
#include <vector>

#include "engine/allocator.h"
#include "engine/job.h"

namespace warploom {

class Recording {
 public:
  Recording() = default;
  ~Recording() {
    for (void* payload : payloads) std::free(payload);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // In units of 16 bytes, so that every job stays aligned.
  struct alignas(16) Unit {
    unsigned char bytes[16];
  };
  std::vector<Unit> jobs;
  std::vector<void*> payloads;    // uploads' bytes, owned
  BlockPool pool;                 // memory taken while recording
  std::vector<int32_t> retained;  // storages from outside that the jobs name
  std::vector<Block*> blocks;     // every block the jobs touch: a replay moves their tickets
  int device = 0;
  // Stream thread only: what the device made of the jobs at the first replay, if it builds graphs.
  std::unique_ptr<Graph> graph;
  bool graphTried = false;

  void append(const JobHeader* job) {
    const Unit* from = reinterpret_cast<const Unit*>(job);
    jobs.insert(jobs.end(), from, from + job->bytes / sizeof(Unit));
  }
};

}  // namespace warploom
