// bar, barrier and bar.warp.sync: threads see what others wrote before the barrier, whatever the schedule; races are
// looked for as well.
#include "own.h"

namespace warploom::test {

void addMBarrierTruths(Truths& truths);

namespace {

bool alignedForm(const std::string& form) {
  return form.rfind("barrier", 0) != 0 || form.find(".aligned") != std::string::npos;
}

const char* const kHead =
    ".visible .entry k$(.param .u64 in, .param .u64 out)\n{\n"
    ".reg .pred %p<9>; .reg .b32 %r<16>; .reg .b64 %d<9>;\n.shared .align 16 .b32 sm[256];\n"
    "mov.u32 %r0, %tid.x; mov.u32 %r10, %ntid.x; ld.param.u64 %d0, [in]; mul.wide.u32 %d1, %r0, 4;\n"
    "add.u64 %d0, %d0, %d1; ld.global.u32 %r1, [%d0]; ld.param.u64 %d2, [out]; add.u64 %d2, %d2, %d1;\n"
    "mov.u64 %d3, sm; add.u64 %d4, %d3, %d1;\n";
const char* const kTail = "ret;\n}\n";

// Runs under three schedules, with n threads that get `in`; compares with `expected`.
void check(const std::string& form, const std::string& body, const std::vector<uint32_t>& in,
           const std::vector<uint32_t>& expected) {
  Proof proof(kHead + body + kTail);
  for (uint64_t seed = 0; seed < 3; ++seed) {
    proof.settings.seed = seed;
    const uint64_t out = proof.put(std::vector<uint32_t>(in.size(), 0x77777777));
    proof.launch({1}, {static_cast<uint32_t>(in.size())}, proof.put(in), out);
    const std::vector<uint32_t> got = proof.get<uint32_t>(out, in.size());
    for (std::size_t i = 0; i < in.size(); ++i) {
      if (got[i] != expected[i]) return wrong(form, "the word", i, got[i], expected[i]);
    }
  }
}
std::vector<uint32_t> words(std::size_t n, uint64_t seed) {
  Noise noise(seed);
  std::vector<uint32_t> data(n);
  for (uint32_t& word : data) word = static_cast<uint32_t>(noise());
  return data;
}

// Each thread writes its word; thread i reads that of (i + shift) % count of its part of `count` threads.
std::string exchange(const std::string& barrier, int count, int shift) {
  const std::string n = std::to_string(count);
  std::string text = "div.u32 %r2, %r0, " + n + "; rem.u32 %r3, %r0, " + n + "; add.u32 %r4, %r2, 3;\n";
  text += "st.shared.u32 [%d4], %r1;\n" + barrier;
  text += "add.u32 %r5, %r3, " + std::to_string(shift) + "; rem.u32 %r5, %r5, " + n + "; mad.lo.u32 %r5, %r2, " + n +
          ", %r5;\nmul.wide.u32 %d5, %r5, 4; add.u64 %d5, %d3, %d5; ld.shared.u32 %r6, [%d5];\n"
          "st.global.u32 [%d2], %r6;\n";
  return text;
}
std::vector<uint32_t> exchanged(const std::vector<uint32_t>& in, std::size_t count, std::size_t shift) {
  std::vector<uint32_t> out(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i / count * count + (i % count + shift) % count];
  return out;
}

void sync(const std::string& form) {
  // All threads, also of a last warp that is not full; the barrier by number and by register.
  for (std::size_t n : {std::size_t{128}, std::size_t{80}, std::size_t{32}}) {
    const std::vector<uint32_t> in = words(n, n);
    check(form, exchange(form + " 0;\n", static_cast<int>(n), 33), in, exchanged(in, n, 33));
    check(form, exchange("mov.u32 %r9, 15; " + form + " %r9;\n", static_cast<int>(n), 37), in, exchanged(in, n, 37));
  }
  // Two parts of 64 threads with a barrier each; the same barrier twice.
  const std::vector<uint32_t> in = words(128, 5);
  check(form, exchange(form + " %r4, 64;\n", 64, 35), in, exchanged(in, 64, 35));
  check(form, exchange(form + " %r4, 64; bar.sync 0; mov.u32 %r9, 64; " + form + " %r4, %r9;\n", 64, 35), in,
        exchanged(in, 64, 35));
  if (!alignedForm(form)) {
    // Lanes of a warp that come by different ways.
    const std::string apart = "and.b32 %r9, %r0, 1; setp.eq.u32 %p1, %r9, 1; @%p1 bra odd; " + form +
                              " 2; bra both; odd: " + form + " 2; both:\n";
    check(form, exchange(apart, 128, 33), in, exchanged(in, 128, 33));
  }
}

// The first 64 threads produce and go on; the others wait for them.
void arrive(const std::string& form) {
  std::string wait = form;
  wait.replace(wait.find(".arrive"), 7, ".sync");
  const std::vector<uint32_t> in = words(128, 7);
  std::vector<uint32_t> expected(128);
  for (std::size_t i = 0; i < 128; ++i) expected[i] = i < 64 ? in[i] : in[i - 64];
  check(form,
        "setp.ge.u32 %p1, %r0, 64; @%p1 bra consume;\nst.shared.u32 [%d4], %r1; " + form +
            " 4, 128; st.global.u32 [%d2], %r1; bra end;\nconsume: " + wait +
            " 4, 128; ld.shared.u32 %r6, [%d4+-256]; st.global.u32 [%d2], %r6;\nend:\n",
        in, expected);
}

void reduction(const std::string& form) {
  const bool counted = form.find("#4") != std::string::npos;
  const std::string name = form.substr(0, form.find('#'));
  const std::string op = name.find(".popc") != std::string::npos  ? "popc"
                         : name.find(".and") != std::string::npos ? "and"
                                                                  : "or";
  const std::string d = op == "popc" ? "%r6" : "%p6", show = op == "popc" ? "" : "selp.u32 %r6, 1, 0, %p6; ";
  for (std::size_t n : {std::size_t{128}, std::size_t{80}}) {
    if (counted && n != 128) continue;
    for (int kind = 0; kind < 5; ++kind) {
      for (const bool negated : {false, true}) {
        std::vector<uint32_t> in = words(n, static_cast<uint64_t>(kind) + 9);
        for (std::size_t i = 0; i < n; ++i) {
          if (kind == 0) in[i] &= ~1u;
          if (kind == 1) in[i] |= 1;
          if (kind == 2) in[i] = i == 67;
          if (kind == 3) in[i] = i != 67;
        }
        // With a count, two parts of 64 threads have a barrier each.
        const std::size_t part = counted ? 64 : n;
        std::vector<uint32_t> expected(n);
        for (std::size_t i = 0; i < n; ++i) {
          uint32_t yes = 0;
          for (std::size_t j = 0; j < part; ++j) yes += ((in[i / part * part + j] & 1) != 0) != negated;
          expected[i] = op == "popc" ? yes : op == "and" ? yes == part : yes != 0;
        }
        const std::string p = negated ? "!%p1" : "%p1";
        check(form,
              "and.b32 %r2, %r1, 1; setp.ne.u32 %p1, %r2, 0; shr.u32 %r4, %r0, 6; add.u32 %r4, %r4, 3;\n" + name + " " +
                  d + ", " + (counted ? "%r4, 64, " : "1, ") + p + ";\n" + show + "st.global.u32 [%d2], %r6;\n",
              in, expected);
      }
    }
  }
}

// Lanes of a warp exchange words: all, in two halves, and from different places in the code.
void warpBarrier(const std::string& form) {
  const std::vector<uint32_t> in = words(64, 19);
  check(form, exchange(form + " 0xffffffff;\n", 32, 5), in, exchanged(in, 32, 5));
  check(form, exchange("and.b32 %r9, %r0, 16; mov.u32 %r8, 0xffff; shl.b32 %r8, %r8, %r9; " + form + " %r8;\n", 16, 5),
        in, exchanged(in, 16, 5));
  check(form,
        exchange("and.b32 %r9, %r0, 1; setp.eq.u32 %p1, %r9, 1; @%p1 bra odd; " + form +
                     " 0xffffffff; bra both; odd: " + form + " 0xffffffff; both:\n",
                 32, 7),
        in, exchanged(in, 32, 7));
}

}  // namespace

void addBarrierTruths(Truths& truths) {
  for (const char* start : {"bar", "bar.cta", "barrier", "barrier.cta"}) {
    const std::string name = start;
    const bool old = name.rfind("barrier", 0) != 0;
    for (const std::string tail : {"", ".aligned"}) {
      if (old && !tail.empty()) continue;
      truths.own(name + ".sync" + tail, sync);
      truths.own(name + ".arrive" + tail, arrive);
      for (const char* count : {"", "#4"}) {
        truths.own(name + ".red.popc" + tail + ".u32" + count, reduction);
        truths.own(name + ".red.and" + tail + ".pred" + count, reduction);
        truths.own(name + ".red.or" + tail + ".pred" + count, reduction);
      }
    }
  }
  truths.own("bar.warp.sync", warpBarrier);
  addMBarrierTruths(truths);
}

}  // namespace warploom::test
