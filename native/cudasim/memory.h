// The memory of one simulated device: a reserved range of addresses in which every allocation stands between unused
// gaps. A device address is the host address of the byte, so loads need no translation; only addresses inside a live
// allocation (or a registered host range) pass the checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

namespace warploom::cudasim {

enum class AllocationKind : uint8_t { device, pinned, managed, global, constant };

struct Allocation {
  uint64_t address = 0;
  uint64_t size = 0;
  uint64_t id = 0;  // counts up: "allocation 7" of a report
  AllocationKind kind = AllocationKind::device;
  bool freed = false;
  bool registered = false;  // host memory that the arena does not own
  std::string label;        // a global's name, else empty
};

class Memory {
 public:
  // Reserves address space for `capacity` bytes of allocations and their shadow; nothing is committed until touched.
  // Throws std::bad_alloc when the system refuses.
  explicit Memory(uint64_t capacity);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // 256-byte aligned, poisoned with 0xff bytes (a NaN in every float format), all bytes uninitialised.
  // 0 when the capacity does not suffice.
  uint64_t alloc(uint64_t bytes, AllocationKind kind = AllocationKind::device, const std::string& label = "");
  // False unless `address` is the start of a live allocation. The bytes are poisoned, and their addresses stay out of
  // use for as long as possible, so that later uses are reported as such.
  bool free(uint64_t address);
  // Makes host memory addressable by kernels (cuMemHostRegister), as initialised bytes. False on overlap.
  bool registerHost(void* data, uint64_t bytes);
  bool unregisterHost(void* data);

  // The allocation, live or freed, that holds `address`; null in gaps and outside.
  const Allocation* find(uint64_t address) const;
  // The same with [address, address + bytes) wholly inside one live allocation.
  const Allocation* findLive(uint64_t address, uint64_t bytes) const;
  // "640 bytes past the end of allocation 3 (4096 bytes)", "inside allocation 3, which was freed", "no allocation is
  // near"
  std::string describe(uint64_t address) const;
  std::vector<Allocation> live() const;

  uint64_t capacity() const { return capacity_; }
  uint64_t used() const { return used_; }
  bool inArena(uint64_t address) const { return address - base_ < reserved_; }

  // Byte-valid map: one byte a byte, 1 = initialised. Null outside the arena (host ranges count as initialised).
  uint8_t* validity(uint64_t address) const { return inArena(address) ? shadow_ + (address - base_) : nullptr; }
  // What a copy or memset into device memory does to the map.
  void setInitialised(uint64_t address, uint64_t bytes, bool value = true);
  // A copy inside the device carries the map along.
  void copyInitialised(uint64_t to, uint64_t from, uint64_t bytes);
  // Makes bytes look uninitialised, with their content poisoned: the target of a copy still under way.
  void poison(uint64_t address, uint64_t bytes);
  // Offset of the first uninitialised byte, or -1.
  int64_t firstUninitialised(uint64_t address, uint64_t bytes) const;
  // Counts up with each change of the set of allocations, so that cached look-ups know when to look again.
  uint64_t generation() const { return generation_; }

 private:
  void reclaim();  // brings back the addresses of the freed, oldest first
  uint64_t takeRange(uint64_t bytes);

  uint64_t capacity_, reserved_, used_ = 0, base_ = 0, next_ = 0, ids_ = 0;
  volatile uint64_t generation_ = 1;
  uint8_t* shadow_ = nullptr;
  mutable std::shared_mutex mutex_;
  std::map<uint64_t, Allocation> allocations_;  // by address; live, freed and registered
  std::multimap<uint64_t, uint64_t> holes_;     // size -> address: reclaimed ranges
  std::vector<uint64_t> quarantine_;            // freed, oldest first
};

}  // namespace warploom::cudasim
