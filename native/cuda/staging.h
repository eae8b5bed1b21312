// Pinned host memory through which bytes pass between host and device, and the thread that waits for them. A piece is
// lent to one copy at a time; when all are out, whoever asks waits.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cuda/driver.h"
#include "cuda/index_error.h"
#include "engine/backend.h"

namespace warploom::cuda {

struct Piece {
  char* data = nullptr;
  std::size_t bytes = 0;
  abi::CUevent event = nullptr;
  IndexErrorWord* error = nullptr;  // behind the data
};

// What to do once a piece's event has passed.
struct Landing {
  Piece* piece = nullptr;
  void* target = nullptr;  // null: the piece went to the device
  std::size_t bytes = 0;
  Arrival* arrival = nullptr;  // told with the last piece of a read
  bool carriesError = false;
};

class Staging {
 public:
  Staging(const Driver& driver, abi::CUcontext context);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // A piece that holds at least min(bytes, kLarge); waits while all of its size are out. The context is current.
  Piece* take(std::size_t bytes);
  // Gives a piece back that no copy uses.
  void give(Piece* piece);
  // Queues what is to happen when the piece's event, which has been recorded, has passed. The piece goes back by
  // itself.
  void await(const Landing& landing);
  // Waits for all that is queued, and ends the thread.
  void stop();

  static constexpr std::size_t kSmall = std::size_t{64} << 10, kLarge = std::size_t{4} << 20;

 private:
  void work();
  void land(const Landing& landing);
  Piece* make(std::size_t bytes);

  const Driver& driver_;
  const abi::CUcontext context_;
  std::mutex mutex_;
  std::atomic<uint32_t> freed_{0}, queued_{0};  // counts: slept on, so that nothing is missed
  std::vector<Piece*> freeSmall_, freeLarge_, all_;
  int madeSmall_ = 0, madeLarge_ = 0;
  std::deque<Landing> landings_;
  std::string lost_;  // waiter only
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace warploom::cuda
