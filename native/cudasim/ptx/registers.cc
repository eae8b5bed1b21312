#include "cudasim/ptx/registers.h"

#include <algorithm>

namespace warploom::cudasim {

namespace {

constexpr uint32_t kSlotBytes = 128;

// Calls f(offset, written) for every register operand; f may change the offset.
template <class F>
void eachOperand(Program& program, const VirtualRegisters& registers, std::size_t pc, F f) {
  Instruction& in = program.code[pc];
  for (uint32_t* source : {&in.guard, &in.a, &in.b, &in.c, &in.e}) {
    if (*source != kNone) f(*source, false);
  }
  for (uint32_t* destination : {&in.d, &in.d2}) {
    if (*destination != kNone) f(*destination, true);
  }
  if (in.flow == Flow::branchIndexed) return;  // its list holds instructions
  for (uint32_t i = 0; i < in.count; ++i) f(program.lists[in.list + i], i < registers.listWrites[pc]);
}

class Bits {
 public:
  explicit Bits(std::size_t count) : words_((count + 63) / 64) {}
  void set(uint32_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }
  bool has(uint32_t i) const { return (words_[i / 64] >> (i % 64) & 1) != 0; }
  void add(const Bits& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  // this |= from without `without`; whether anything is new.
  bool addWithout(const Bits& from, const Bits& without) {
    uint64_t fresh = 0;
    for (std::size_t i = 0; i < words_.size(); ++i) {
      const uint64_t more = from.words_[i] & ~without.words_[i] & ~words_[i];
      words_[i] |= more;
      fresh |= more;
    }
    return fresh != 0;
  }
  template <class F>
  void each(F f) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (uint64_t rest = words_[i]; rest != 0; rest &= rest - 1) {
        f(static_cast<uint32_t>(64 * i) + static_cast<uint32_t>(__builtin_ctzll(rest)));
      }
    }
  }

 private:
  std::vector<uint64_t> words_;
};

// Instructions [from, to) without a jump in or out between.
struct Stretch {
  uint32_t from, to;
  std::vector<uint32_t> next;  // stretches
  Bits needed, killed, liveIn, liveOut;
};

// The instructions that may follow, besides the next one, and whether the next one may.
template <class F>
bool successors(const Program& program, const Instruction& in, F jump) {
  const bool guarded = in.guard != kNone;
  switch (in.flow) {
    case Flow::branch:
      jump(in.target);
      return guarded;
    case Flow::branchIndexed:
      for (uint32_t i = 0; i < in.count; ++i) jump(program.lists[in.list + i]);
      return guarded;
    case Flow::exit:
    case Flow::trap:
      return guarded;
    case Flow::end:
      return false;
    default:
      return true;
  }
}

std::vector<Stretch> stretches(Program& program, const VirtualRegisters& registers) {
  const auto count = static_cast<uint32_t>(program.code.size());
  std::vector<uint32_t> starts(count + 1);  // 1 where a stretch begins, then its number
  starts[0] = 1;
  for (uint32_t pc = 0; pc < count; ++pc) {
    bool jumps = false;
    const bool falls = successors(program, program.code[pc], [&](uint32_t to) {
      starts[to] = 1;
      jumps = true;
    });
    if (jumps || !falls) starts[pc + 1] = 1;
  }
  std::vector<Stretch> list;
  for (uint32_t pc = 0; pc < count; ++pc) {
    if (starts[pc] == 1) {
      const Bits none(registers.widths.size());
      list.push_back({pc, pc, {}, none, none, none, none});
    }
    starts[pc] = static_cast<uint32_t>(list.size() - 1);
    list.back().to = pc + 1;
  }
  for (Stretch& one : list) {
    const bool falls =
        successors(program, program.code[one.to - 1], [&](uint32_t to) { one.next.push_back(starts[to]); });
    if (falls) one.next.push_back(starts[one.to]);
    for (uint32_t pc = one.from; pc < one.to; ++pc) {
      const auto each = [&](bool writes, auto f) {
        eachOperand(program, registers, pc, [&](uint32_t offset, bool written) {
          if (written == writes) f(offset / kSlotBytes);
        });
      };
      each(false, [&](uint32_t slot) {
        if (!one.killed.has(slot)) one.needed.set(slot);
      });
      // Under a guard the old value stays where the guard does not hold.
      if (program.code[pc].guard == kNone) each(true, [&](uint32_t slot) { one.killed.set(slot); });
    }
  }
  return list;
}

// First and last instruction between which the slot may not be another's.
struct Interval {
  uint32_t slot = 0, first = kNone, last = 0;
  void extend(uint32_t pc) {
    first = std::min(first, pc);
    last = std::max(last, pc);
  }
};

std::vector<Interval> intervals(Program& program, const VirtualRegisters& registers) {
  std::vector<Stretch> list = stretches(program, registers);
  for (Stretch& one : list) one.liveIn = one.needed;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = list.size(); i-- > 0;) {
      Stretch& one = list[i];
      for (uint32_t next : one.next) one.liveOut.add(list[next].liveIn);
      changed = one.liveIn.addWithout(one.liveOut, one.killed) || changed;
    }
  }
  std::vector<Interval> result(registers.widths.size());
  for (uint32_t slot = 0; slot < result.size(); ++slot) result[slot].slot = slot;
  for (const Stretch& one : list) {
    one.liveIn.each([&](uint32_t slot) { result[slot].extend(one.from); });
    one.liveOut.each([&](uint32_t slot) { result[slot].extend(one.to - 1); });
    for (uint32_t pc = one.from; pc < one.to; ++pc) {
      eachOperand(program, registers, pc, [&](uint32_t offset, bool) { result[offset / kSlotBytes].extend(pc); });
    }
  }
  return result;
}

}  // namespace

uint32_t shareRegisters(Program& program, const VirtualRegisters& registers) {
  std::vector<Interval> all = intervals(program, registers);
  std::vector<bool> constant(registers.widths.size());
  for (const Constant& one : program.constants) constant[one.offset / kSlotBytes] = true;

  constexpr uint32_t kWide = 0x80000000;           // until the number of narrow slots is known
  std::vector<uint32_t> place(all.size(), kNone);  // of a virtual slot
  uint32_t narrow = 0, wide = 0, pinned = 0;
  std::vector<Interval> order;
  for (const Interval& one : all) {
    if (registers.widths[one.slot] != 0 && !constant[one.slot] && one.first != kNone) order.push_back(one);
  }
  std::sort(order.begin(), order.end(), [](const Interval& a, const Interval& b) {
    return a.first != b.first ? a.first < b.first : a.slot < b.slot;
  });
  std::vector<Interval> active;  // a heap, the first to end on top
  const auto later = [](const Interval& a, const Interval& b) { return a.last > b.last; };
  std::vector<uint32_t> free4, free8;
  for (const Interval& one : order) {
    // Strictly: an instruction may write its destination before it has read all its sources.
    while (!active.empty() && active.front().last < one.first) {
      const uint32_t freed = active.front().slot;
      (registers.widths[freed] == 8 ? free8 : free4).push_back(place[freed]);
      std::pop_heap(active.begin(), active.end(), later);
      active.pop_back();
    }
    const bool isWide = registers.widths[one.slot] == 8;
    std::vector<uint32_t>& free = isWide ? free8 : free4;
    if (!free.empty()) {
      place[one.slot] = free.back();  // the one in the cache
      free.pop_back();
    } else {
      place[one.slot] = isWide ? kWide | 2 * wide++ : narrow++;
    }
    active.push_back(one);
    std::push_heap(active.begin(), active.end(), later);
  }
  for (uint32_t slot = 0; slot < place.size(); ++slot) {
    if (place[slot] != kNone && (place[slot] & kWide) != 0) place[slot] = narrow + (place[slot] & ~kWide);
  }
  // Constants are filled before a warp starts, and stay for the blocks after it.
  const uint32_t shared = narrow + 2 * wide;
  for (Constant& one : program.constants) {
    const uint32_t slot = one.offset / kSlotBytes;
    place[slot] = shared + pinned;
    pinned += registers.widths[slot] / 4;
    one.offset = place[slot] * kSlotBytes;
  }
  for (std::size_t pc = 0; pc < program.code.size(); ++pc) {
    eachOperand(program, registers, pc,
                [&](uint32_t& offset, bool) { offset = place[offset / kSlotBytes] * kSlotBytes; });
  }
  program.registerBytes = (shared + pinned) * kSlotBytes;
  return shared;
}

}  // namespace warploom::cudasim
