// Races on global memory inside one launch: two threads touch the same byte, at least one by a plain write, and nothing
// orders the two.
//
// What orders. Threads of a block: barriers of the block, and __syncwarp among the lanes of a warp. Blocks: nothing but
// a message. It is sent by a fence for the device (or a release) and behind it a strong write - an atomic, a volatile,
// relaxed or releasing store - of a thread that knew of the access when it fenced; it is received by a strong read
// behind that. So the "last block" of a reduction, a barrier of the grid and a look-back scan are ordered, and the same
// without its fence is not.
// The check would rather miss a race than invent one:
// - any strong read receives all that was sent before it, at whatever address; it stands for its whole warp;
// - a strong access is never in a race with a strong one, nor with a plain read (the first read of a
//   compare-and-swap loop);
// - plain reads and strong writes of another block count as ordered for a warp that has received anything at all;
// - inside a block a strong write sends without a fence, also one in shared memory;
// - of several readers of a word the last is remembered, and whether they were of several warps or blocks; of writers
//   of different bytes of a word only those of one warp;
// - blocks behind the first four million of a launch are not looked at.
// Two lanes that write one word by one instruction are in a race too, unless they write the same value.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace warploom::cudasim {

struct Barrier;
struct Block;
struct Instruction;
struct RunState;
struct Warp;
enum class Access : uint8_t;

// What a warp knows of the others. An access is dated by the epoch of its warp (Warp::epoch); epochs of warp i below
// known[i] are behind this one.
struct GlobalOrder {
  uint64_t identity = 0;  // the block's tag and the warp's first thread, as Marks hold them; 0: not looked at
  uint64_t received = 0;  // the time of the last message that may have arrived; 0: none
  uint32_t known[32] = {};
  uint32_t fenced[32] = {};  // of these, what lies behind a fence: the content of the next message
  bool receiving = false;    // a strong read is under way: its time is taken when it is over
  bool unsent = false;       // fenced has grown since the last message
};

class GlobalRaces {
 public:
  explicit GlobalRaces(const RunState& run);
  ~GlobalRaces();
  GlobalRaces(const GlobalRaces&) = delete;
  GlobalRaces& operator=(const GlobalRaces&) = delete;

  void start(Block& block) const;
  // Before an access to global memory is done.
  void check(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Access access,
             uint8_t* const (&pointers)[32]);
  // Takes in what a strong read before has received.
  void settle(Warp& warp) const;
  // Before a strong access to shared memory is done, and behind its check: warps send messages there too.
  void noteShared(Warp& warp, const Instruction& in, Access access);
  // A fence for more than the block.
  static void fence(Warp& warp);
  // Before a barrier of the block opens.
  void join(Block& block, const Barrier& barrier);

 private:
  struct Message {
    uint64_t time;
    uint32_t fenced[32];
  };
  struct Mark;

  bool live(const Mark& mark) const;
  void send(Warp& warp, bool releases);
  bool sent(const Warp& warp, const Mark& before) const;
  bool behind(const Warp& warp, const Mark& before, const Mark& now) const;
  bool readBehind(const Warp& warp, const Mark& before, const Mark& now) const;
  Mark joinReads(const Warp& warp, const Mark& before, Mark now) const;
  void race(Warp& warp, const Instruction& in, int lane, const char* kind, const Mark& before, uint64_t address) const;

  const RunState& run_;
  uint64_t firstTag_ = 0, tags_ = 0;
  std::atomic<uint64_t> time_{1};
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, std::vector<Message>> messages_;  // by tag of the sending block, in order
};

}  // namespace warploom::cudasim
