// shfl, vote, activemask, match, redux, elect.
#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

enum { kUp, kDown, kBfly, kIdx };

void shuffle(Warp& w, const Instruction& in, uint32_t mask) {
  uint32_t* d = reg<uint32_t>(w, in.d);
  uint32_t* p = in.d2 == kNone ? nullptr : reg<uint32_t>(w, in.d2);
  uint32_t a[kLanes];
  std::memcpy(a, reg<uint32_t>(w, in.a), sizeof(a));
  const uint32_t *b = reg<uint32_t>(w, in.b), *c = reg<uint32_t>(w, in.c);
  uint32_t from[kLanes] = {}, valid = 0;
  eachLane(mask, [&](int i) {
    const int clamp = static_cast<int>(c[i] & 31), segment = static_cast<int>(c[i] >> 8 & 31);
    const int delta = static_cast<int>(b[i] & 31);
    const int high = (i & segment) | (clamp & ~segment), low = i & segment;
    int j = 0;
    bool ok = false;
    switch (in.mode) {
      case kUp:
        j = i - delta;
        ok = j >= high;
        break;
      case kDown:
        j = i + delta;
        ok = j <= high;
        break;
      case kBfly:
        j = i ^ delta;
        ok = j <= high;
        break;
      default:
        j = low | (delta & ~segment);
        ok = j <= high;
        break;
    }
    if (!ok) j = i;
    from[i] = static_cast<uint32_t>(j);
    valid |= (ok ? 1u : 0u) << i;
  });
  eachLane(mask, [&](int i) {
    if ((mask >> from[i] & 1) == 0 && w.block->run->settings.sync) {
      report(w, in, "sync", i, "shfl reads lane " + std::to_string(from[i]) + ", which does not take part");
    }
    d[i] = a[from[i]];
    if (p != nullptr) p[i] = (valid >> i & 1) != 0 ? 0xffffffffu : 0;
  });
}

// mode: 0 ballot, 1 any, 2 all, 3 uni
void vote(Warp& w, const Instruction& in, uint32_t mask) {
  const uint32_t votes = predicateMask(w, in.a) & mask;
  uint32_t* d = reg<uint32_t>(w, in.d);
  uint32_t result = votes;
  if (in.mode == 1) result = votes != 0 ? 0xffffffffu : 0;
  if (in.mode == 2) result = votes == mask ? 0xffffffffu : 0;
  if (in.mode == 3) result = votes == mask || votes == 0 ? 0xffffffffu : 0;
  eachLane(mask, [&](int i) { d[i] = result; });
}
void activeMask(Warp& w, const Instruction& in, uint32_t mask) {
  uint32_t* d = reg<uint32_t>(w, in.d);
  eachLane(mask, [&](int i) { d[i] = mask; });
}

template <class T>
void matchAny(Warp& w, const Instruction& in, uint32_t mask) {
  uint32_t* d = reg<uint32_t>(w, in.d);
  T a[kLanes];
  std::memcpy(a, reg<T>(w, in.a), sizeof(a));
  eachLane(mask, [&](int i) {
    uint32_t same = 0;
    eachLane(mask, [&](int j) { same |= (a[j] == a[i] ? 1u : 0u) << j; });
    d[i] = same;
  });
}
template <class T>
void matchAll(Warp& w, const Instruction& in, uint32_t mask) {
  uint32_t* d = reg<uint32_t>(w, in.d);
  uint32_t* p = in.d2 == kNone ? nullptr : reg<uint32_t>(w, in.d2);
  T a[kLanes];
  std::memcpy(a, reg<T>(w, in.a), sizeof(a));
  bool all = true;
  eachLane(mask, [&](int i) { all = all && a[i] == a[__builtin_ctz(mask)]; });
  eachLane(mask, [&](int i) {
    d[i] = all ? mask : 0;
    if (p != nullptr) p[i] = all ? 0xffffffffu : 0;
  });
}

// mode: 0 add, 1 min, 2 max, 3 and, 4 or, 5 xor
template <class T>
void redux(Warp& w, const Instruction& in, uint32_t mask) {
  const T* a = reg<T>(w, in.a);
  T* d = reg<T>(w, in.d);
  T r = a[__builtin_ctz(mask)];
  eachLane(mask & (mask - 1), [&](int i) {
    switch (in.mode) {
      case 0:
        r = static_cast<T>(static_cast<uint32_t>(r) + static_cast<uint32_t>(a[i]));
        break;
      case 1:
        r = a[i] < r ? a[i] : r;
        break;
      case 2:
        r = a[i] > r ? a[i] : r;
        break;
      case 3:
        r &= a[i];
        break;
      case 4:
        r |= a[i];
        break;
      default:
        r ^= a[i];
        break;
    }
  });
  eachLane(mask, [&](int i) { d[i] = r; });
}

}  // namespace

void addWarpForms(FormTable& table) {
  const auto sync = [&table](const std::string& name, const char* signature, Handler fn, int mode = 0) {
    Form form;
    form.fn = fn;
    form.signature = signature;
    form.kind = Class::move;
    form.flow = Flow::warpSync;
    form.mode = static_cast<uint8_t>(mode);
    table.add(name, form);
  };
  sync("shfl.sync.up.b32", "D4?X1A4B4C4E4", &shuffle, kUp);
  sync("shfl.sync.down.b32", "D4?X1A4B4C4E4", &shuffle, kDown);
  sync("shfl.sync.bfly.b32", "D4?X1A4B4C4E4", &shuffle, kBfly);
  sync("shfl.sync.idx.b32", "D4?X1A4B4C4E4", &shuffle, kIdx);
  sync("vote.sync.ballot.b32", "D4A1E4", &vote, 0);
  sync("vote.sync.any.pred", "D1A1E4", &vote, 1);
  sync("vote.sync.all.pred", "D1A1E4", &vote, 2);
  sync("vote.sync.uni.pred", "D1A1E4", &vote, 3);
  sync("match.any.sync.b32", "D4A4E4", &matchAny<uint32_t>);
  sync("match.any.sync.b64", "D4A8E4", &matchAny<uint64_t>);
  sync("match.all.sync.b32", "D4?X1A4E4", &matchAll<uint32_t>);
  sync("match.all.sync.b64", "D4?X1A8E4", &matchAll<uint64_t>);
  const char* names[] = {"add", "min", "max", "and", "or", "xor"};
  for (int i = 0; i < 6; ++i) {
    const std::string name = std::string("redux.sync.") + names[i];
    if (i < 3) {
      sync(name + ".u32", "D4A4E4", &redux<uint32_t>, i);
      sync(name + ".s32", "D4A4E4", &redux<int32_t>, i);
    } else {
      sync(name + ".b32", "D4A4E4", &redux<uint32_t>, i);
    }
  }
  table.add("activemask.b32", "D4", &activeMask, Class::move);
}

}  // namespace warploom::cudasim
