// The CPU device's threads. The calling thread always takes part, so one lane means no other thread at all.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace warploom::cpu {

class ThreadPool {
 public:
  explicit ThreadPool(int lanes);
  ~ThreadPool();  // joins
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int lanes() const { return lanes_; }

  // Calls fn(data, chunk, lane) for every chunk in [0, chunks) and returns when all are done. Lane 0 is the caller;
  // helpers claim chunks from an atomic counter, and the caller takes what they have not claimed. Helpers spin at most
  // 50 microseconds after a region, then park. Where one thread waits for another that has a chunk but lost its
  // processor to somebody else, it gives it its own. Once *cancelled is true, chunks not yet begun are dropped.
  void run(int64_t chunks, void* data, void (*fn)(void*, int64_t, int), const std::atomic<bool>* cancelled);

 private:
  struct State;
  int lanes_;
  std::unique_ptr<State> state_;
};

}  // namespace warploom::cpu
