// shfl, vote, match, redux, activemask: what each lane of a warp gets from the others.
#include "own.h"

namespace warploom::test {

void addBarrierTruths(Truths& truths);
void addSystemTruths(Truths& truths);

namespace {

// A lane's operands and member mask. Lanes that are not in the mask do not come.
struct Row {
  uint64_t a = 0;
  uint32_t b = 0, c = 0, members = 0xffffffff;
};
struct Result {
  uint32_t d = 0, p = 0;
};
using Warp = std::vector<Row>;  // 32 of them

// Runs the instruction in every warp. `call` has {form}; %d2 and %r2 hold a, %p2 whether it is odd, %r3 b, %r4 c, %r5
// members; results in %r6 and %p6.
std::vector<Result> runWarps(const std::string& form, const std::string& call, const std::vector<Warp>& warps) {
  std::string text =
      ".visible .entry k$(.param .u64 in, .param .u64 out)\n{\n"
      ".reg .pred %p<9>; .reg .b32 %r<12>; .reg .b64 %d<9>;\n"
      "mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mad.lo.u32 %r1, %r1, 64, %r0;\n"
      "ld.param.u64 %d0, [in]; mul.wide.u32 %d1, %r1, 24; add.u64 %d0, %d0, %d1;\n"
      "ld.param.u64 %d3, [out]; mul.wide.u32 %d1, %r1, 8; add.u64 %d3, %d3, %d1;\n"
      "ld.global.u64 %d2, [%d0]; cvt.u32.u64 %r2, %d2; ld.global.u32 %r3, [%d0+8]; ld.global.u32 %r4, [%d0+12];\n"
      "ld.global.u32 %r5, [%d0+16]; and.b32 %r7, %r2, 1; setp.ne.u32 %p2, %r7, 0; setp.ne.u32 %p6, 0, 0;\n"
      "mov.u32 %r8, %laneid; shr.u32 %r8, %r5, %r8; and.b32 %r8, %r8, 1; setp.eq.u32 %p1, %r8, 0; @%p1 bra done;\n" +
      call + "\nselp.u32 %r7, 1, 0, %p6; st.global.u32 [%d3], %r6; st.global.u32 [%d3+4], %r7;\ndone: ret;\n}\n";
  replace(text, "{form}", form);
  Proof proof(text);
  std::vector<Row> rows;
  for (const Warp& warp : warps) rows.insert(rows.end(), warp.begin(), warp.end());
  if (rows.size() % 64 != 0) rows.resize(rows.size() + 32);
  const uint64_t out = proof.put(std::vector<Result>(rows.size(), Result{0x77777777, 0x77777777}));
  proof.launch({static_cast<uint32_t>(rows.size() / 64)}, {64}, proof.put(rows), out);
  return proof.get<Result>(out, rows.size());
}
bool member(const Row& row, int lane) { return (row.members >> lane & 1) != 0; }

// Compares every lane that came with `reference(warp, lane)`.
void compare(const std::string& form, const std::string& call, const std::vector<Warp>& warps, bool hasD, bool hasP,
             const std::function<Result(const Warp&, int)>& reference) {
  const std::vector<Result> got = runWarps(form, call, warps);
  for (std::size_t w = 0; w < warps.size(); ++w) {
    for (int lane = 0; lane < 32; ++lane) {
      const std::size_t i = 32 * w + static_cast<std::size_t>(lane);
      if (!member(warps[w][static_cast<std::size_t>(lane)], lane)) {
        if (got[i].d != 0x77777777) wrong(form, "a lane outside the mask", i, got[i].d, 0x77777777);
        continue;
      }
      const Result wanted = reference(warps[w], lane);
      if (hasD && got[i].d != wanted.d) return wrong(form, "d", i, got[i].d, wanted.d);
      if (hasP && got[i].p != wanted.p) return wrong(form, "p", i, got[i].p, wanted.p);
    }
  }
}

// The pseudo-code of the PTX ISA. Source -1: not a member, whose value nobody defines.
int sourceOf(const std::string& mode, const Warp& warp, int lane, bool& inRange) {
  const Row& row = warp[static_cast<std::size_t>(lane)];
  const int bval = static_cast<int>(row.b & 0x1f), cval = static_cast<int>(row.c & 0x1f);
  const int mask = static_cast<int>(row.c >> 8 & 0x1f);
  const int maxLane = (lane & mask) | (cval & ~mask & 0x1f), minLane = lane & mask;
  int j = 0;
  if (mode == "up") {
    j = lane - bval;
    inRange = j >= maxLane;
  } else if (mode == "down") {
    j = lane + bval;
    inRange = j <= maxLane;
  } else if (mode == "bfly") {
    j = lane ^ bval;
    inRange = j <= maxLane;
  } else {
    j = minLane | (bval & ~mask & 0x1f);
    inRange = j <= maxLane;
  }
  if (!inRange) j = lane;
  return member(warp[static_cast<std::size_t>(j)], j) ? j : -1;
}
void shuffle(const std::string& form) {
  const std::string mode = partsOf(form)[2];
  std::vector<Warp> warps;
  Noise noise(31);
  const auto add = [&](const std::function<void(Row&, int)>& fillRow) {
    Warp warp(32);
    for (int lane = 0; lane < 32; ++lane) {
      Row& row = warp[static_cast<std::size_t>(lane)];
      row.a = noise();
      fillRow(row, lane);
    }
    // Only warps in which every member reads a member have a defined result.
    for (int lane = 0; lane < 32; ++lane) {
      bool inRange = false;
      if (member(warp[static_cast<std::size_t>(lane)], lane) && sourceOf(mode, warp, lane, inRange) < 0) return;
    }
    warps.push_back(warp);
  };
  for (uint32_t segment : {0u, 16u, 24u, 28u, 30u, 31u, 5u}) {
    for (uint32_t clamp : {0u, 1u, 7u, 15u, 20u, 31u}) {
      for (uint32_t b = 0; b < 34; ++b) {
        // Bits beyond the fields must not count.
        add([&](Row& row, int) { row.b = b, row.c = clamp | segment << 8 | 0x1800e0; });
        for (uint32_t members : {0x0000ffffu, 0xfffff000u, 0x55555555u}) {
          add([&](Row& row, int) { row.b = b, row.c = clamp | segment << 8, row.members = members; });
        }
      }
    }
  }
  for (int i = 0; i < 64; ++i) {
    add([&](Row& row, int) { row.b = static_cast<uint32_t>(noise()), row.c = static_cast<uint32_t>(noise()); });
  }
  // Two halves of a warp, each with its own mask.
  add([&](Row& row, int lane) {
    row.b = 3, row.c = mode == "up" ? 16u << 8 : 31 | 16u << 8, row.members = lane < 16 ? 0xffffu : 0xffff0000u;
  });
  if (warps.size() < 1500) failed("truth", 0, form + ": too few warps have a defined result");
  const auto reference = [&](const Warp& warp, int lane) {
    bool inRange = false;
    const int j = sourceOf(mode, warp, lane, inRange);
    return Result{static_cast<uint32_t>(warp[static_cast<std::size_t>(j)].a), inRange ? 1u : 0u};
  };
  compare(form, "{form} %r6|%p6, %r2, %r3, %r4, %r5;", warps, true, true, reference);
  compare(form, "{form} %r6, %r2, %r3, %r4, %r5;", warps, true, false, reference);
}

// Warps with values from a few, many, one; with full, partial and two masks.
std::vector<Warp> groups(uint64_t seed) {
  std::vector<Warp> warps;
  Noise noise(seed);
  for (uint32_t members : {0xffffffffu, 0x0000ffffu, 0x80000001u, 0x00000010u, 0xf0f0f0f0u, 0u}) {
    for (int kind = 0; kind < 8; ++kind) {
      Warp warp(32);
      const uint64_t common = noise();
      for (int lane = 0; lane < 32; ++lane) {
        Row& row = warp[static_cast<std::size_t>(lane)];
        row.a = kind < 2   ? common + static_cast<uint64_t>(kind)
                : kind < 4 ? noise()
                : kind < 6 ? common + (noise() >> 40) % 3
                           : common;
        // One lane that differs, in the upper half of 64 bits only.
        if (kind == 6 && lane == 4) row.a ^= uint64_t{1} << 45;
        if (kind == 7 && lane == 31) row.a ^= 1;
        row.members = members != 0 ? members : lane % 3 == 0 ? 0x49249249u : ~0x49249249u;
      }
      warps.push_back(warp);
    }
  }
  return warps;
}
// Calls f with the value of each lane of the group that `lane` belongs to.
void eachMember(const Warp& warp, int lane, const std::function<void(uint64_t, int)>& f) {
  for (int j = 0; j < 32; ++j) {
    if ((warp[static_cast<std::size_t>(lane)].members >> j & 1) != 0) f(warp[static_cast<std::size_t>(j)].a, j);
  }
}

void vote(const std::string& form) {
  const std::string mode = partsOf(form)[2];
  for (const bool negated : {false, true}) {
    const std::string p = negated ? "!%p2" : "%p2";
    const std::string call = mode == "ballot" ? "{form} %r6, " + p + ", %r5;" : "{form} %p6, " + p + ", %r5;";
    compare(form, call, groups(37), mode == "ballot", mode != "ballot", [&](const Warp& warp, int lane) {
      uint32_t yes = 0, no = 0;
      eachMember(warp, lane, [&](uint64_t a, int j) { (((a & 1) != 0) != negated ? yes : no) |= uint32_t{1} << j; });
      Result result;
      result.d = yes;
      result.p = mode == "all" ? no == 0 : mode == "any" ? yes != 0 : yes == 0 || no == 0;
      return result;
    });
  }
}

void match(const std::string& form) {
  const bool any = form.find(".any.") != std::string::npos, wide = form.find("b64") != std::string::npos;
  const auto reference = [&](const Warp& warp, int lane) {
    const auto value = [wide](uint64_t a) { return wide ? a : a & 0xffffffff; };
    uint32_t same = 0;
    eachMember(warp, lane, [&](uint64_t a, int j) {
      if (value(a) == value(warp[static_cast<std::size_t>(lane)].a)) same |= uint32_t{1} << j;
    });
    Result result;
    result.p = same == warp[static_cast<std::size_t>(lane)].members;
    result.d = any || result.p != 0 ? same : 0;
    return result;
  };
  const std::string a = wide ? "%d2" : "%r2";
  compare(form, "{form} %r6, " + a + ", %r5;", groups(41), true, false, reference);
  if (!any) compare(form, "{form} %r6|%p6, " + a + ", %r5;", groups(43), true, true, reference);
}

void reduce(const std::string& form) {
  const std::string op = partsOf(form)[2];
  const bool isSigned = partsOf(form)[3] == "s32";
  compare(form, "{form} %r6, %r2, %r5;", groups(47), true, false, [&](const Warp& warp, int lane) {
    bool first = true;
    int64_t r = 0;
    eachMember(warp, lane, [&](uint64_t a, int) {
      const int64_t x = isSigned ? int64_t{static_cast<int32_t>(a)} : static_cast<int64_t>(a & 0xffffffff);
      if (first) {
        r = x;
      } else if (op == "add") {
        r += x;
      } else if (op == "min" || op == "max") {
        if (op == "min" ? x < r : x > r) r = x;
      } else {
        r = op == "and" ? r & x : op == "or" ? r | x : r ^ x;
      }
      first = false;
    });
    return Result{static_cast<uint32_t>(r), 0};
  });
}

// The lanes that took a branch together.
void activeMask(const std::string& form) {
  std::vector<Warp> warps;
  for (uint32_t members : {0xffffffffu, 0x1u, 0x80000000u, 0x12345678u, 0xffff0000u}) {
    warps.push_back(Warp(32, Row{0, 0, 0, members}));
  }
  compare(form, "{form} %r6;", warps, true, false, [](const Warp& warp, int lane) {
    return Result{warp[static_cast<std::size_t>(lane)].members, 0};
  });
}

}  // namespace

void addWarpTruths(Truths& truths) {
  for (const char* mode : {"up", "down", "bfly", "idx"}) {
    truths.own(std::string("shfl.sync.") + mode + ".b32", shuffle);
  }
  truths.own("vote.sync.ballot.b32", vote);
  for (const char* mode : {"all", "any", "uni"}) truths.own(std::string("vote.sync.") + mode + ".pred", vote);
  for (const char* tail : {"any.sync.b32", "any.sync.b64", "all.sync.b32", "all.sync.b64"}) {
    truths.own(std::string("match.") + tail, match);
  }
  for (const char* tail :
       {"add.u32", "add.s32", "min.u32", "min.s32", "max.u32", "max.s32", "and.b32", "or.b32", "xor.b32"}) {
    truths.own(std::string("redux.sync.") + tail, reduce);
  }
  truths.own("activemask.b32", activeMask);
  addBarrierTruths(truths);
  addSystemTruths(truths);
}

}  // namespace warploom::test
