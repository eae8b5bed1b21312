// Races on global memory inside a launch: each kernel with one is found at its line, its correct neighbour is silent.
#ifdef WARPLOOM_SIM_PTX
#include "finding_checks.h"

using namespace warploom::test;

namespace {

// One worker and the plain order: what is found first, and where, is then fixed.
struct Plain : Sim {
  Plain() : Sim(kernelText("bugs_global")) {
    settings.threads = 1;
    settings.init = false;
  }
};

void eachSchedule(void (*body)(Sim&)) { forEachSchedule(kernelText("bugs_global"), body); }

uint64_t zeros(Sim& sim, std::size_t words) { return sim.put(std::vector<int>(words)); }

}  // namespace

TEST(blocks_that_write_one_word) {
  Plain sim;
  const uint64_t y = zeros(sim, 1);
  const LaunchResult result = sim.run("blocksShareWord", {4}, {32}, 0, y);
  expectFinding(result, "blocksShareWord", "race", 719, "of block (0, 0, 0): nothing orders the two blocks");
  CHECK(isBy(result, 1, 0));
  eachSchedule([](Sim& any) {
    const uint64_t z = zeros(any, 1);
    any.clean("blocksShareAtomic", {40}, {32}, 0, z);
    CHECK(any.get<int>(z, 1)[0] == 40);
    any.clean("blocksShareWord", {1}, {64}, 0, z);
    any.clean("blocksShareWord", {1}, {64}, 0, z);  // launches do not race with each other
    CHECK(any.run("blocksShareWord", {4}, {32}, 0, z).status == 719);
  });
}

TEST(neighbours_in_place) {
  Plain sim;
  const uint64_t x = zeros(sim, 256);
  const LaunchResult result = sim.run("halo", {4}, {64}, 0, x, 256);
  expectFinding(result, "halo", "race", 719, "write-after-read");
  CHECK(isBy(result, 1, 0));
  eachSchedule([](Sim& any) {
    const uint64_t p = zeros(any, 256), q = zeros(any, 256);
    any.clean("haloOutOfPlace", {4}, {64}, 0, p, q, 256);
    CHECK(any.run("halo", {4}, {64}, 0, p, 256).status == 719);
    any.clean("halo", {1}, {256}, 0, p, 256);
  });
}

TEST(threads_of_a_block) {
  Plain sim;
  const uint64_t x = zeros(sim, 64), y = zeros(sim, 64);
  // The line of the write races with warp 0's read, the line of the read with warp 1's write.
  const LaunchResult warps = sim.run("warpsWithoutBarrier", {1}, {64}, 0, x, y);
  CHECK(warps.status == 719 && warps.findings.size() == 2 && isBy(warps, 0, 32));
  for (const Finding& finding : warps.findings) {
    CHECK(finding.check == "race" && finding.message.find("of this block: no barrier") != std::string::npos);
  }
  const LaunchResult lanes = sim.run("lanesWithoutSyncwarp", {1}, {32}, 0, x, y);
  expectFinding(lanes, "lanesWithoutSyncwarp", "race", 719, "read-after-write race on global memory with thread (1, 0");
  CHECK(isBy(lanes, 0, 0));
  const LaunchResult over = sim.run("overwritesBroadcast", {1}, {64}, 0, x, y);
  expectFinding(over, "overwritesBroadcast", "race", 719, "write-after-read");
  CHECK(isBy(over, 0, 63));
  expectFinding(sim.run("lanesDisagreeGlobal", {1}, {32}, 0, y), "lanesDisagreeGlobal", "race", 719,
                "write-after-write");
  eachSchedule([](Sim& any) {
    const uint64_t p = zeros(any, 64), q = zeros(any, 64);
    any.clean("lanesAgreeGlobal", {4}, {32}, 0, p);
    CHECK(any.run("lanesAgreeGlobal", {1}, {64}, 0, p).status == 719);
    any.clean("warpsWithBarrier", {1}, {64}, 0, p, q);
    any.clean("lanesWithSyncwarp", {1}, {32}, 0, p, q);
    any.clean("overwritesAfterBarrier", {1}, {64}, 0, p, q);
    CHECK(any.run("warpsWithoutBarrier", {1}, {64}, 0, p, q).status == 719);
    CHECK(any.run("lanesWithoutSyncwarp", {1}, {32}, 0, p, q).status == 719);
    CHECK(any.run("overwritesBroadcast", {1}, {64}, 0, p, q).status == 719);
  });
}

TEST(parts_of_a_word) {
  Plain sim;
  expectFinding(sim.run("bytesOverlap", {4}, {32}, 0, zeros(sim, 32)), "bytesOverlap", "race", 719,
                "write-after-write");
  eachSchedule([](Sim& any) {
    const uint64_t y = zeros(any, 64);
    any.clean("bytesOfOneWord", {6}, {33}, 0, y);
    CHECK(any.get<uint8_t>(y, 198) == std::vector<uint8_t>(198, 2));
  });
}

TEST(the_last_block) {
  for (const char* bad : {"lastBlockNoFence", "lastBlockFenceOfBlock", "lastBlockNoBarrier"}) {
    Plain sim;
    const LaunchResult result = sim.run(bad, {8}, {64}, 0, zeros(sim, 512), zeros(sim, 64), zeros(sim, 1));
    expectFinding(result, bad, "race", 719, "read-after-write");
    CHECK(!result.findings.empty() && result.findings[0].block[0] == 7);
  }
  eachSchedule([](Sim& any) {
    for (const char* good : {"lastBlock", "lastBlockFenceByOne"}) {
      const uint64_t part = any.room(512 * 4), y = any.room(256), done = zeros(any, 1);
      for (int again = 0; again < 2; ++again) any.clean(good, {8}, {64}, 0, part, y, done);
      CHECK(any.get<float>(y, 64) == std::vector<float>(64, 8));
    }
  });
}

TEST(a_chain_of_blocks) {
  const auto chain = [](Sim& sim, const char* name) {
    return sim.run(name, {12}, {32}, 0, zeros(sim, 12), zeros(sim, 12), zeros(sim, 12));
  };
  for (const char* bad : {"chainNoFence", "chainFlagFirst", "chainPlainFlag"}) {
    Plain sim;
    expectFinding(chain(sim, bad), bad, "race", 719, "nothing orders the two blocks");
  }
  eachSchedule([](Sim& any) {
    for (const char* good : {"chain", "chainReleased"}) {
      const uint64_t y = zeros(any, 12);
      any.clean(good, {12}, {32}, 0, zeros(any, 12), zeros(any, 12), y);
      CHECK(any.get<int>(y, 12)[11] == 12);
    }
  });
}

TEST(a_message_that_came_before) {
  const auto early = [](Sim& sim, const char* name) {
    return sim.run(name, {2}, {32}, 0, zeros(sim, 1), zeros(sim, 1), zeros(sim, 1), zeros(sim, 1));
  };
  Plain sim;
  expectFinding(early(sim, "receivedEarly"), "receivedEarly", "race", 719, "read-after-write race on global memory");
  eachSchedule([](Sim& any) {
    const uint64_t y = zeros(any, 1);
    any.clean("receivedTwice", {2}, {32}, 0, zeros(any, 1), zeros(any, 1), zeros(any, 1), y);
    CHECK(any.get<int>(y, 1)[0] == 6);
  });
}

TEST(a_word_that_all_blocks_read) {
  Plain sim;
  const LaunchResult other = sim.run("overwritesForBlocks", {4}, {32}, 0, zeros(sim, 1), zeros(sim, 128));
  expectFinding(other, "overwritesForBlocks", "race", 719, "with threads of other blocks: nothing orders them");
  // The other blocks are known to have read, the writer's own warp is not.
  const LaunchResult own = sim.run("lastOverwritesEarly", {4}, {32}, 0, zeros(sim, 1), zeros(sim, 1), zeros(sim, 128));
  expectFinding(own, "lastOverwritesEarly", "race", 719, "write-after-read");
  eachSchedule([](Sim& any) {
    const uint64_t x = zeros(any, 1);
    any.clean("lastOverwrites", {4}, {32}, 0, zeros(any, 1), x, zeros(any, 128));
    CHECK(any.get<float>(x, 1)[0] == 1);
  });
}

TEST(a_barrier_of_the_grid) {
  Plain sim;
  expectFinding(sim.run("gridBarrierNoFence", {4}, {64}, 0, zeros(sim, 256), zeros(sim, 256), zeros(sim, 1)),
                "gridBarrierNoFence", "race", 719);
  eachSchedule(
      [](Sim& any) { any.clean("gridBarrier", {4}, {64}, 0, zeros(any, 256), zeros(any, 256), zeros(any, 1)); });
}

TEST(messages_inside_a_block) {
  Plain sim;
  for (const char* bad : {"flagBeforeShared", "flagBeforeGlobal"}) {
    expectFinding(sim.run(bad, {1}, {64}, 0, zeros(sim, 32), zeros(sim, 32)), bad, "race", 719);
  }
  expectFinding(sim.run("volatileLanes", {1}, {32}, 0, zeros(sim, 32)), "volatileLanes", "race", 719);
  eachSchedule([](Sim& any) {
    any.clean("flagOfWarps", {1}, {64}, 0, zeros(any, 32), zeros(any, 32));
    const uint64_t y = zeros(any, 1);
    any.clean("swapLoop", {4}, {64}, 0, y);
    CHECK(any.get<float>(y, 1)[0] == 256);
  });
}

#else
#include "native/check.h"
#endif
