// Loads, stores, address conversions, prefetches, cp.async.
#include <immintrin.h>

#include <algorithm>
#include <type_traits>

#include "cudasim/exec/access.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

// Four words of each lane's memory against four registers, for a full warp: blocks of 4 x 4 change rows for columns.
template <class Move>
void eachFour(Warp& w, const uint32_t* list, Move move) {
  float* r[4];
  for (int k = 0; k < 4; ++k) r[k] = reg<float>(w, list[k]);
  for (int i = 0; i < kLanes; i += 4) move(i, r);
}
void loadFour(Warp& w, const uint32_t* list, uint8_t* const (&p)[kLanes]) {
  eachFour(w, list, [&](int i, float* const(&d)[4]) {
    __m128 rows[4];
    for (int k = 0; k < 4; ++k) rows[k] = _mm_loadu_ps(reinterpret_cast<const float*>(p[i + k]));
    _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]);
    for (int k = 0; k < 4; ++k) _mm_store_ps(d[k] + i, rows[k]);
  });
}
void storeFour(Warp& w, const uint32_t* list, uint8_t* const (&p)[kLanes]) {
  eachFour(w, list, [&](int i, float* const(&s)[4]) {
    __m128 rows[4];
    for (int k = 0; k < 4; ++k) rows[k] = _mm_load_ps(s[k] + i);
    _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]);
    for (int k = 0; k < 4; ++k) _mm_storeu_ps(reinterpret_cast<float*>(p[i + k]), rows[k]);
  });
}

// Blocks on different threads of the host talk through strong accesses: these are atomic there too, and carry what was
// written before, which a plain access of x86 costs as well.
template <class M>
M readMemory(const uint8_t* from, bool strong) {
  if (strong) return __atomic_load_n(reinterpret_cast<const M*>(from), __ATOMIC_ACQUIRE);
  M value;
  std::memcpy(&value, from, sizeof(M));
  return value;
}
template <class M>
void writeMemory(uint8_t* to, M value, bool strong) {
  if (strong) {
    __atomic_store_n(reinterpret_cast<M*>(to), value, __ATOMIC_RELEASE);
  } else {
    std::memcpy(to, &value, sizeof(M));
  }
}

// M: the type in memory. L: a lane of the register.
template <class M, class L>
void load(Warp& w, const Instruction& in, uint32_t mask) {
  uint8_t* p[kLanes];
  const uint32_t n = in.count;
  lanePointers(w, in, mask, static_cast<uint32_t>(sizeof(M)) * n, Access::load, p);
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  if constexpr (std::is_same_v<M, uint32_t>) {
    if (n == 4 && mask == 0xffffffffu && !in.spinning) return loadFour(w, list, p);
  }
  for (uint32_t k = 0; k < n; ++k) {
    L* d = reg<L>(w, list[k]);
    if (in.spinning) {
      eachLane(mask, [&](int i) { d[i] = static_cast<L>(readMemory<M>(p[i] + k * sizeof(M), true)); });
    } else {
      eachLane(mask, [&](int i) { d[i] = static_cast<L>(readMemory<M>(p[i] + k * sizeof(M), false)); });
    }
  }
}
template <class M, class L>
void store(Warp& w, const Instruction& in, uint32_t mask) {
  uint8_t* p[kLanes];
  const uint32_t n = in.count;
  lanePointers(w, in, mask, static_cast<uint32_t>(sizeof(M)) * n, Access::store, p);
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  if constexpr (std::is_same_v<M, uint32_t>) {
    // Lanes that write the same place take turns in either way: the last one stays.
    if (n == 4 && mask == 0xffffffffu && !in.spinning) return storeFour(w, list, p);
  }
  for (uint32_t k = 0; k < n; ++k) {
    const L* s = reg<L>(w, list[k]);
    if (in.spinning) {
      eachLane(mask, [&](int i) { writeMemory(p[i] + k * sizeof(M), static_cast<M>(s[i]), true); });
    } else {
      eachLane(mask, [&](int i) { writeMemory(p[i] + k * sizeof(M), static_cast<M>(s[i]), false); });
    }
  }
}
// Parameters are the same for all lanes when their address is, which it nearly always is.
template <class M, class L>
void loadParam(Warp& w, const Instruction& in, uint32_t mask) {
  const uint64_t* a = reg<uint64_t>(w, in.a);
  const uint32_t bytes = w.block->run->program.paramBytes;
  const uint32_t* list = w.block->run->program.lists.data() + in.list;
  for (uint32_t k = 0; k < in.count; ++k) {
    L* d = reg<L>(w, list[k]);
    eachLane(mask, [&](int i) {
      const uint64_t at = a[i] + static_cast<uint64_t>(in.imm) + k * sizeof(M);
      if (at + sizeof(M) > bytes) throw Fault{"mem", 700, i, "a parameter is read behind the end of the parameters"};
      M value;
      std::memcpy(&value, w.params + at, sizeof(M));
      d[i] = static_cast<L>(value);
    });
  }
}
// ld.param of a call's .param variable: local memory.
template <class M, class L>
void loadAnyParam(Warp& w, const Instruction& in, uint32_t mask) {
  if (in.space == Space::local) {
    load<M, L>(w, in, mask);
  } else {
    loadParam<M, L>(w, in, mask);
  }
}

void cvtaShared(Warp& w, const Instruction& in, uint32_t mask) {
  const uint64_t base = reinterpret_cast<uint64_t>(w.block->shared);
  map1<uint64_t, uint64_t>(w, in, mask, [base, to = in.mode == 1](uint64_t a) { return to ? a - base : a + base; });
}
void cvtaLocal(Warp& w, const Instruction& in, uint32_t mask) {
  const uint64_t base = reinterpret_cast<uint64_t>(w.local), each = w.block->run->launch.kernel->localBytes;
  uint64_t* d = reg<uint64_t>(w, in.d);
  const uint64_t* a = reg<uint64_t>(w, in.a);
  eachLane(mask, [&](int i) {
    const uint64_t start = base + each * static_cast<uint64_t>(i);
    d[i] = in.mode == 1 ? a[i] - start : a[i] + start;
  });
}
void isspacep(Warp& w, const Instruction& in, uint32_t mask) {
  const uint64_t shared = reinterpret_cast<uint64_t>(w.block->shared), local = reinterpret_cast<uint64_t>(w.local);
  const uint64_t sharedSize = w.block->run->sharedBytes,
                 localSize = uint64_t{w.block->run->launch.kernel->localBytes} * kLanes;
  const Memory* memory = w.block->run->launch.memory;
  map1<uint32_t, uint64_t>(w, in, mask, [&](uint64_t a) {
    const bool isShared = a - shared < sharedSize, isLocal = a - local < localSize;
    bool is = false;
    if (in.space == Space::shared) is = isShared;
    if (in.space == Space::local) is = isLocal;
    if (in.space == Space::global || in.space == Space::constant) {
      const Allocation* found = isShared || isLocal ? nullptr : memory->find(a);
      const bool isConstant = found != nullptr && found->kind == AllocationKind::constant;
      is = in.space == Space::constant ? isConstant : !isShared && !isLocal && !isConstant;
    }
    return is ? 0xffffffffu : 0u;
  });
}
void nothing(Warp&, const Instruction&, uint32_t) {}
void fence(Warp& w, const Instruction&, uint32_t) {
  if (w.block->run->races != nullptr) GlobalRaces::fence(w);
}
void policy(Warp& w, const Instruction& in, uint32_t mask) {
  uint64_t* d = reg<uint64_t>(w, in.d);
  eachLane(mask, [&](int i) { d[i] = 0x10f0000000000000; });
}
// A line of 128 bytes that loses its value without being written back.
void discardLine(Warp& w, const Instruction& in, uint32_t mask) {
  uint8_t* p[kLanes];
  lanePointers(w, in, mask, 128, Access::store, p);
  eachLane(mask, [&](int i) { w.block->run->launch.memory->poison(reinterpret_cast<uint64_t>(p[i]), 128); });
}

// A source of fewer bytes than the copy: only those need exist, at an address aligned for all.
void partialSource(Warp& w, Instruction& source, int lane, uint32_t bytes, uint32_t given, uint8_t* (&from)[kLanes]) {
  for (uint32_t k = given; k-- > 0;) {
    source.imm = k;
    lanePointers(w, source, 1u << lane, 1, Access::load, from);
  }
  source.imm = 0;
  if (reinterpret_cast<uint64_t>(from[lane]) % bytes != 0) {
    throw Fault{"mem", 716, lane, "misaligned source of a cp.async of " + std::to_string(bytes) + " bytes"};
  }
}

// The copy waits for its cp.async.wait: until then its destination holds poison, so that a missing wait shows.
void copyAsync(Warp& w, const Instruction& in, uint32_t mask) {
  Instruction source = in;
  source.space = Space::global;
  source.a = in.b;
  source.imm = 0;
  source.addressWide = true;
  const uint32_t bytes = in.size;
  // How many bytes of the source exist, by lane: an operand, or none where a predicate says so.
  uint32_t given[kLanes], all = 0, some = 0;
  const uint32_t* operand = in.c == kNone ? nullptr : reg<uint32_t>(w, in.c);
  eachLane(mask, [&](int i) {
    given[i] = operand == nullptr ? bytes : in.mode == 1 ? (operand[i] != 0 ? 0 : bytes) : std::min(operand[i], bytes);
    if (given[i] == bytes) all |= 1u << i;
    if (given[i] != 0 && given[i] != bytes) some |= 1u << i;
  });
  uint8_t *to[kLanes], *from[kLanes] = {};
  lanePointers(w, in, mask, bytes, Access::store, to);
  w.standsFor = &in;
  if (all != 0) lanePointers(w, source, all, bytes, Access::load, from);
  eachLane(some, [&](int i) { partialSource(w, source, i, bytes, given[i], from); });
  w.standsFor = nullptr;
  Block& block = *w.block;
  const bool init = block.run->settings.init;
  AsyncCopies& copy = w.copies.emplace_back();
  copy.pending = mask;
  copy.issued = w.issued++;
  copy.bytes = in.size;
  copy.pc = static_cast<int>(&in - block.run->program.code.data());
  std::memcpy(copy.to, to, sizeof(to));
  std::memcpy(copy.from, from, sizeof(from));
  std::memcpy(copy.group, w.committed, sizeof(copy.group));
  eachLane(mask, [&](int i) {
    copy.sourceBytes[i] = static_cast<uint8_t>(given[i]);
    std::memset(to[i], 0xff, bytes);
    if (init) std::memset(block.sharedValid.data() + (to[i] - block.shared), 0, bytes);
  });
}
void commitAsync(Warp& w, const Instruction&, uint32_t mask) {
  eachLane(mask, [&](int i) { ++w.committed[i]; });
}
void finishCopy(Warp& w, AsyncCopies& copy, uint32_t lanes) {
  const Settings& settings = w.block->run->settings;
  eachLane(lanes, [&](int i) {
    uint8_t* to = copy.to[i];
    const uint32_t n = copy.sourceBytes[i];
    if (n == 16) {
      std::memcpy(to, copy.from[i], 16);
    } else {
      if (n > 0) std::memcpy(to, copy.from[i], n);
      std::memset(to + n, 0, copy.bytes - n);
    }
    if (settings.init) std::memset(w.block->sharedValid.data() + (to - w.block->shared), 1, copy.bytes);
    if (settings.race) noteAsyncWrite(w, i, to, copy.bytes);
  });
  copy.pending &= ~lanes;
}
// Finishes the copies that `due` says a lane must not leave under way, oldest first.
template <class Due>
void finishCopies(Warp& w, uint32_t mask, Due due) {
  for (AsyncCopies& copy : w.copies) {
    uint32_t lanes = 0;
    for (int i = 0; i < kLanes; ++i) lanes |= static_cast<uint32_t>(due(copy, i)) << i;
    lanes &= mask & copy.pending;
    if (lanes != 0) finishCopy(w, copy, lanes);
  }
  w.copies.erase(std::remove_if(w.copies.begin(), w.copies.end(), [](const AsyncCopies& c) { return c.pending == 0; }),
                 w.copies.end());
}
// All groups but the last few, of which there are in.imm.
void waitGroup(Warp& w, const Instruction& in, uint32_t mask) {
  finishCopies(w, mask, [&](const AsyncCopies& copy, int i) { return copy.group[i] + in.imm < w.committed[i]; });
}
void waitAll(Warp& w, const Instruction&, uint32_t mask) {
  finishCopies(w, mask, [](const AsyncCopies&, int) { return true; });
}

struct MemoryType {
  const char* name;
  uint8_t size;
  bool isSigned;
};
const MemoryType kTypes[] = {{".b8", 1, false},  {".u8", 1, false},  {".s8", 1, true},   {".b16", 2, false},
                             {".u16", 2, false}, {".s16", 2, true},  {".b32", 4, false}, {".u32", 4, false},
                             {".s32", 4, true},  {".f32", 4, false}, {".b64", 8, false}, {".u64", 8, false},
                             {".s64", 8, true},  {".f64", 8, false}};

Handler loader(const MemoryType& type) {
  switch (type.size) {
    case 1:
      return type.isSigned ? &load<int8_t, uint32_t> : &load<uint8_t, uint32_t>;
    case 2:
      return type.isSigned ? &load<int16_t, uint32_t> : &load<uint16_t, uint32_t>;
    case 4:
      return &load<uint32_t, uint32_t>;
    default:
      return &load<uint64_t, uint64_t>;
  }
}
Handler paramLoader(const MemoryType& type) {
  switch (type.size) {
    case 1:
      return type.isSigned ? &loadAnyParam<int8_t, uint32_t> : &loadAnyParam<uint8_t, uint32_t>;
    case 2:
      return type.isSigned ? &loadAnyParam<int16_t, uint32_t> : &loadAnyParam<uint16_t, uint32_t>;
    case 4:
      return &loadAnyParam<uint32_t, uint32_t>;
    default:
      return &loadAnyParam<uint64_t, uint64_t>;
  }
}
Handler storer(const MemoryType& type) {
  switch (type.size) {
    case 1:
      return &store<uint8_t, uint32_t>;
    case 2:
      return &store<uint16_t, uint32_t>;
    case 4:
      return &store<uint32_t, uint32_t>;
    default:
      return &store<uint64_t, uint64_t>;
  }
}

}  // namespace

void finishAsyncCopies(Warp& w, int lane, uint32_t issued) {
  finishCopies(w, 1u << lane, [&](const AsyncCopies& copy, int) { return copy.issued < issued; });
}

void addMemoryForms(FormTable& table) {
  const std::pair<const char*, Space> spaces[] = {{"", Space::generic},        {".global", Space::global},
                                                  {".shared", Space::shared},  {".local", Space::local},
                                                  {".const", Space::constant}, {".param", Space::param}};
  for (const auto& space : spaces) {
    for (const MemoryType& type : kTypes) {
      for (int vec : {1, 2, 4}) {
        if (vec * type.size > 16) continue;
        const std::string v = vec == 1 ? "" : ".v" + std::to_string(vec);
        Form form;
        form.kind = Class::memory;
        form.space = space.second;
        form.size = type.size;
        form.vec = static_cast<uint8_t>(vec);
        form.isSigned = type.isSigned;
        form.fn = space.second == Space::param ? paramLoader(type) : loader(type);
        form.signature = type.size == 8 ? "V8M" : "V4M";
        table.add(std::string("ld") + space.first + v + type.name, form);
        if (space.second == Space::constant) continue;
        form.fn = storer(type);
        form.signature = type.size == 8 ? "MW8" : "MW4";
        table.add(std::string("st") + space.first + v + type.name, form);
      }
    }
  }
  const auto plain = [&table](const std::string& name, const char* signature, Handler fn, Space space = Space::generic,
                              int mode = 0, int size = 0) {
    Form form;
    form.fn = fn;
    form.signature = signature;
    form.kind = Class::memory;
    form.space = space;
    form.mode = static_cast<uint8_t>(mode);
    form.size = static_cast<uint8_t>(size);
    table.add(name, form);
  };
  plain("cvta.shared.u64", "D8A8", &cvtaShared);
  plain("cvta.to.shared.u64", "D8A8", &cvtaShared, Space::generic, 1);
  plain("cvta.local.u64", "D8A8", &cvtaLocal);
  plain("cvta.to.local.u64", "D8A8", &cvtaLocal, Space::generic, 1);
  plain("isspacep.shared", "D1A8", &isspacep, Space::shared);
  plain("isspacep.local", "D1A8", &isspacep, Space::local);
  plain("isspacep.global", "D1A8", &isspacep, Space::global);
  plain("isspacep.const", "D1A8", &isspacep, Space::constant);
  for (const char* name : {"prefetch.global.L1", "prefetch.global.L2", "prefetch.L1", "prefetch.L2",
                           "prefetch.global.L2::evict_last", "prefetch.global.L2::evict_normal"}) {
    // A prefetch of any address is harmless.
    plain(name, "M", &nothing, std::string(name).find("global") == std::string::npos ? Space::generic : Space::global);
  }
  plain("prefetchu.L1", "M", &nothing);
  plain("discard.global.L2", "Mi", &discardLine, Space::global);
  plain("discard.L2", "Mi", &discardLine);
  plain("applypriority.global.L2::evict_normal", "Mi", &nothing, Space::global);
  for (const char* kind : {"evict_last", "evict_normal", "evict_first", "evict_unchanged"}) {
    plain(std::string("createpolicy.fractional.L2::") + kind + ".b64", "D8?A4", &policy);
  }
  for (const char* name : {"membar.cta", "fence.cta", "fence.sc.cta", "fence.acq_rel.cta"}) {
    plain(name, "", &nothing);
  }
  for (const char* name : {"membar.gl", "membar.sys", "fence.gpu", "fence.sys", "fence.sc.gpu", "fence.sc.sys",
                           "fence.acq_rel.gpu", "fence.acq_rel.sys"}) {
    plain(name, "", &fence);
  }
  for (int size : {4, 8, 16}) {
    // The number of bytes is the third operand; a fourth says how many of them exist, the rest is zeros.
    plain("cp.async.shared.global#" + std::to_string(size), "MN8i?C4", &copyAsync, Space::shared, 0, size);
    // A predicate in its place says that the source is to be ignored.
    plain("cp.async.shared.global#" + std::to_string(size) + "#p", "MN8iC1", &copyAsync, Space::shared, 1, size);
  }
  plain("cp.async.commit_group", "", &commitAsync);
  plain("cp.async.wait_group", "I", &waitGroup);
  plain("cp.async.wait_all", "", &waitAll);
}

}  // namespace warploom::cudasim
