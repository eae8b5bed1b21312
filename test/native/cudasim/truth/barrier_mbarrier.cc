// mbarrier objects: what a thread sees of one through a random sequence of operations, and copies that arrive at one.
#include "own.h"

namespace warploom::test {

namespace {

// The object by the words of the PTX ISA: a phase ends when as many arrivals have come as are expected in it.
struct Counted {
  uint32_t expected = 0, lacking = 0;
  uint64_t phase = 0;

  void arrive(uint32_t count) {
    lacking -= count;
    if (lacking != 0) return;
    lacking = expected;
    ++phase;
  }
};

struct Trace {
  std::string text;
  std::vector<uint32_t> results;

  void keep(const std::string& code, uint32_t result) {
    text += code + "st.global.u32 [%d0+" + std::to_string(4 * results.size()) + "], %r1;\n";
    results.push_back(result);
  }
};

// One thread alone, so that the outcome of every operation is known.
Trace traceOf(const std::string& space, uint64_t seed) {
  Noise noise(seed);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(noise() >> 33) % n; };
  const std::string at = space.empty() ? " [%d2]" : " [%r0]";
  const auto op = [&](const std::string& name) { return "mbarrier." + name + space + ".b64 "; };
  Trace trace;
  Counted object;
  uint64_t tokenPhase = 0;
  bool haveToken = false;
  const auto init = [&] {
    object = Counted();
    object.expected = object.lacking = below(4) == 0 ? 0xfffff : 1 + below(9);
    trace.text += op("init") + at + ", " + std::to_string(object.expected) + ";\n";
    haveToken = false;
  };
  init();
  for (int step = 0; step < 150; ++step) {
    const uint32_t kind = below(9);
    if (kind < 3) {
      trace.text += op("arrive") + "%d3," + at + ";\n";
      tokenPhase = object.phase;
      haveToken = true;
      object.arrive(1);
    } else if (kind < 5 && object.lacking > 1) {
      const bool drop = kind == 3 && object.expected > object.lacking;
      const uint32_t count = 1 + below(drop ? 1 : object.lacking - 1);
      trace.keep(op(drop ? "arrive_drop.noComplete" : "arrive.noComplete") + "%d4," + at + ", " +
                     std::to_string(count) + "; mbarrier.pending_count.b64 %r1, %d4;\n",
                 object.lacking);
      if (drop) object.expected -= count;
      object.arrive(count);
    } else if (kind == 5 && object.expected > 1 && object.expected < 100) {
      trace.text += op("arrive_drop") + "%d3," + at + ";\n";
      tokenPhase = object.phase;
      haveToken = true;
      --object.expected;
      object.arrive(1);
    } else if (kind == 6) {
      const uint64_t parity = below(2);
      // The phase of that parity is the current one, or it is the one before and complete.
      trace.keep(op("test_wait.parity") + "%p1," + at + ", " + std::to_string(parity) + "; selp.u32 %r1, 1, 0, %p1;\n",
                 parity != object.phase % 2);
    } else if (kind == 8 && below(5) == 0) {
      trace.text += op("inval") + at + ";\n";
      init();
    }
    if (haveToken && object.phase - tokenPhase < 2) {
      trace.keep(op("test_wait") + "%p1," + at + ", %d3; selp.u32 %r1, 1, 0, %p1;\n", object.phase != tokenPhase);
    }
  }
  trace.text += op("inval") + at + ";\n";
  return trace;
}

const char* const kHead =
    ".visible .entry k$(.param .u64 in, .param .u64 out)\n{\n"
    ".reg .pred %p<9>; .reg .b32 %r<16>; .reg .b64 %d<16>;\n.shared .align 8 .b64 object; .shared .align 16 .b32 "
    "sm[64];\n"
    "mov.u32 %r0, object; mov.u64 %d1, object; cvta.shared.u64 %d2, %d1; ld.param.u64 %d0, [out];\n"
    "mov.u32 %r2, %tid.x; ld.param.u64 %d5, [in]; mul.wide.u32 %d6, %r2, 4; add.u64 %d5, %d5, %d6;\n"
    "mov.u32 %r3, sm; shl.b32 %r4, %r2, 2; add.u32 %r3, %r3, %r4; setp.eq.u32 %p2, %r2, 0;\n";

std::string spaceOf(const std::string& form) { return form.find(".shared") != std::string::npos ? ".shared" : ""; }

void object(const std::string& form) {
  for (uint64_t seed = 1; seed < 5; ++seed) {
    const Trace trace = traceOf(spaceOf(form), seed);
    Proof proof(kHead + trace.text + "ret;\n}\n");
    const uint64_t out = proof.put(std::vector<uint32_t>(trace.results.size(), 77));
    proof.launch({1}, {1}, proof.put(std::vector<uint32_t>(64)), out);
    const std::vector<uint32_t> got = proof.get<uint32_t>(out, trace.results.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (got[i] != trace.results[i]) return wrong(form, "the result", i, got[i], trace.results[i]);
    }
  }
}

// Two warps copy asynchronously, arrive behind their copies, wait, and read what the other warp has copied.
void behindCopies(const std::string& form) {
  const bool counted = form.find(".noinc") != std::string::npos;
  const std::string space = spaceOf(form), at = space.empty() ? " [%d2]" : " [%r0]";
  const std::string round = "cp.async.ca.shared.global [%r3], [%d5], 4;\n" + form + at + ";\n" +
                            (counted ? "" : "mbarrier.arrive" + space + ".b64 %d3," + at + ";\n");
  const std::string wait = "mbarrier.test_wait.parity" + space + ".b64 %p1," + at + ", ";
  const auto read = [](const char* offset) {
    return "mov.u32 %r5, sm; sub.u32 %r6, 252, %r4; add.u32 %r5, %r5, %r6; ld.shared.u32 %r7, [%r5];\n"
           "add.u64 %d7, %d0, %d6; st.global.u32 [%d7+" +
           std::string(offset) + "], %r7; bar.sync 0;\n";
  };
  Proof proof(std::string(kHead) + "@%p2 mbarrier.init" + space + ".b64" + at + ", 64; bar.sync 0;\n" + round +
              "again: " + wait + "0; @!%p1 bra again;\n" + read("0") + "add.u64 %d5, %d5, 256;\n" + round +
              "more: " + wait + "1; @!%p1 bra more;\n" + read("256") + "ret;\n}\n");
  std::vector<uint32_t> in(128), expected(128);
  Noise noise(23);
  for (uint32_t& word : in) word = static_cast<uint32_t>(noise());
  for (std::size_t i = 0; i < 128; ++i) expected[i] = in[i / 64 * 64 + 63 - i % 64];
  for (uint64_t seed = 0; seed < 4; ++seed) {
    proof.settings.seed = seed;
    const uint64_t out = proof.put(std::vector<uint32_t>(128));
    proof.launch({1}, {64}, proof.put(in), out);
    const std::vector<uint32_t> got = proof.get<uint32_t>(out, 128);
    for (std::size_t i = 0; i < 128; ++i) {
      if (got[i] != expected[i]) return wrong(form, "the word", i, got[i], expected[i]);
    }
  }
}

}  // namespace

void addMBarrierTruths(Truths& truths) {
  for (const std::string space : {"", ".shared"}) {
    for (const char* name : {"init", "inval", "arrive", "arrive_drop", "arrive.noComplete", "arrive_drop.noComplete",
                             "test_wait", "test_wait.parity"}) {
      truths.own(std::string("mbarrier.") + name + space + ".b64", object);
    }
    truths.own("cp.async.mbarrier.arrive" + space + ".b64", behindCopies);
    truths.own("cp.async.mbarrier.arrive.noinc" + space + ".b64", behindCopies);
  }
  truths.own("mbarrier.pending_count.b64", object);
}

}  // namespace warploom::test
