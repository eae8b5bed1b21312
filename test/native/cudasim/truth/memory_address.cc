// Addresses and hints: conversions between spaces, fences, prefetches, policies.
#include "own.h"

namespace warploom::test {

namespace {

const char* const kHead =
    ".const .align 16 .b32 c$[32] = {1000,1001,1002,1003,1004,1005,1006,1007,1008,1009,1010,1011,1012,1013,1014,1015,"
    "1016,1017,1018,1019,1020,1021,1022,1023,1024,1025,1026,1027,1028,1029,1030,1031};\n"
    ".visible .entry k$(.param .u64 in, .param .u64 out)\n{\n"
    ".reg .pred %p<9>; .reg .b32 %r<12>; .reg .b64 %d<24>;\n"
    ".shared .align 16 .b32 sm[40]; .local .align 16 .b32 lm[40];\n"
    "mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 4; ld.param.u64 %d0, [in]; add.u64 %d0, %d0, %d1;\n"
    "ld.param.u64 %d2, [out]; mul.wide.u32 %d3, %r0, 16; add.u64 %d2, %d2, %d3;\n"
    // Addresses inside the spaces: word of the thread in shared memory, word 5 in local memory.
    "mov.u64 %d10, sm; add.u64 %d10, %d10, %d1; add.u64 %d10, %d10, 16; mov.u64 %d11, lm; add.u64 %d11, %d11, 20;\n"
    "mov.u64 %d12, c$; add.u64 %d12, %d12, %d1;\n"
    "add.u32 %r1, %r0, 2000; st.shared.u32 [%d10], %r1; add.u32 %r1, %r0, 3000; st.local.u32 [%d11], %r1;\n"
    "cvta.shared.u64 %d13, %d10; cvta.local.u64 %d14, %d11; cvta.const.u64 %d15, %d12; cvta.global.u64 %d16, %d0;\n";

// Four words a thread.
std::vector<uint32_t> run(const std::string& body) {
  Proof proof(kHead + body + "ret;\n}\n");
  std::vector<uint32_t> in;
  for (uint32_t i = 0; i < 32; ++i) in.push_back(4000 + i);
  const uint64_t out = proof.put(std::vector<uint32_t>(128));
  proof.launch({1}, {32}, proof.put(in), out);
  return proof.get<uint32_t>(out, 128);
}

struct Space {
  const char *name, *inside, *generic;
  uint32_t first;  // the word that thread 0 finds there; the others count on
};
const Space kSpaces[] = {{"shared", "%d10", "%d13", 2000},
                         {"local", "%d11", "%d14", 3000},
                         {"const", "%d12", "%d15", 1000},
                         {"global", "%d0", "%d16", 4000}};

// The generic address leads to the same word; the way back gives the address inside the space.
void convert(const std::string& form) {
  for (const Space& space : kSpaces) {
    if (form.find(space.name) == std::string::npos) continue;
    const bool back = form.rfind("cvta.to.", 0) == 0;
    const std::string s = space.name;
    std::string text = back ? form + " %d20, " + space.generic + ";\n" : form + " %d20, " + space.inside + ";\n";
    text += (back ? "ld." + s : std::string("ld")) + ".u32 %r2, [%d20]; st.global.u32 [%d2], %r2;\n";
    text += "setp.eq.u64 %p1, %d20, " + std::string(space.inside) + "; selp.u32 %r3, 1, 0, %p1;\n" +
            "st.global.u32 [%d2+4], %r3;\n";
    const std::vector<uint32_t> got = run(text);
    for (uint32_t i = 0; i < 32; ++i) {
      if (got[4 * i] != space.first + i) return wrong(form, "the word", i, got[4 * i], space.first + i);
      if (back && got[4 * i + 1] != 1) return wrong(form, "the address is the first one", i, 0, 1);
    }
  }
}

void isSpace(const std::string& form) {
  for (const Space& space : kSpaces) {
    const std::vector<uint32_t> got =
        run(form + " %p1, " + space.generic + "; selp.u32 %r3, 1, 0, %p1; st.global.u32 [%d2], %r3;\n");
    const uint32_t wanted = partsOf(form)[1] == space.name;
    for (uint32_t i = 0; i < 32; ++i) {
      if (got[4 * i] != wanted) return wrong(form, space.name, i, got[4 * i], wanted);
    }
  }
}

// A hint changes nothing, wherever it points.
void hint(const std::string& form) {
  const bool global = form.find("global") != std::string::npos;
  for (const Space& space : kSpaces) {
    if (global && std::string(space.name) != "global") continue;
    const std::vector<uint32_t> got = run(form + " [" + std::string(global ? space.inside : space.generic) +
                                          "];\nld.u32 %r2, [" + space.generic + "]; st.global.u32 [%d2], %r2;\n");
    for (uint32_t i = 0; i < 32; ++i) {
      if (got[4 * i] != space.first + i) return wrong(form, space.name, i, got[4 * i], space.first + i);
    }
  }
}
// Lines of 128 bytes: the one at the start of `in`.
void priority(const std::string& form) {
  const std::vector<uint32_t> got =
      run("ld.param.u64 %d20, [in]; " + form + " [%d20], 128; ld.global.u32 %r2, [%d0]; st.global.u32 [%d2], %r2;\n");
  for (uint32_t i = 0; i < 32; ++i) {
    if (got[4 * i] != 4000 + i) return wrong(form, "the word", i, got[4 * i], 4000 + i);
  }
}
// Discarded bytes have no value until they are written again, and their neighbours keep theirs.
void discard(const std::string& form) {
  Proof proof(
      ".visible .entry k$(.param .u64 data, .param .u64 out, .param .u32 word)\n{\n.reg .b32 %r<4>; .reg .b64 %d<4>;\n"
      "ld.param.u64 %d0, [data]; ld.param.u64 %d1, [out]; ld.param.u32 %r0, [word]; " +
      form +
      " [%d0+128], 128; mov.u32 %r1, 7; st.global.u32 [%d0+132], %r1;\n"
      "mul.wide.u32 %d2, %r0, 4; add.u64 %d0, %d0, %d2; ld.global.u32 %r1, [%d0]; st.global.u32 [%d1], "
      "%r1;\nret;\n}\n");
  const std::pair<uint32_t, bool> words[] = {{31, true}, {32, false}, {33, true}, {63, false}, {64, true}};
  for (const auto& word : words) {
    const uint64_t out = proof.put(std::vector<uint32_t>(1));
    const LaunchResult result =
        proof.run(proof.kernel(), {1}, {1}, 0, proof.put(std::vector<uint32_t>(96, 5)), out, word.first);
    CHECK(result.findings.empty() == word.second);
    CHECK((proof.get<uint32_t>(out, 1)[0] == (word.first == 33 ? 7u : 5u)) == word.second);
  }
}

void policy(const std::string& form) {
  for (const char* fraction : {"", ", 0.5", ", 1.0", ", %r5"}) {
    const std::vector<uint32_t> got =
        run("mov.b32 %r5, 0f3E800000; " + form + " %d20" + fraction +
            "; ld.global.L2::cache_hint.u32 %r2, [%d0], %d20; st.global.L2::cache_hint.u32 [%d2], %r2, %d20;\n");
    for (uint32_t i = 0; i < 32; ++i) {
      if (got[4 * i] != 4000 + i) return wrong(form, "the word", i, got[4 * i], 4000 + i);
    }
  }
}

// One writes a word, then a flag; the other spins on the flag and reads the word: two blocks, or where the fence is for
// one block only, two warps of it. Such a fence between blocks orders nothing.
void fence(const std::string& form) {
  Proof proof(
      ".visible .entry k$(.param .u64 data, .param .u64 out)\n{\n.reg .pred %p<2>; .reg .b32 %r<4>; .reg .b64 %d<4>;\n"
      "ld.param.u64 %d0, [data]; ld.param.u64 %d1, [out]; mov.u32 %r0, %tid.x; and.b32 %r1, %r0, 31;\n"
      "setp.ne.u32 %p1, %r1, 0; @%p1 bra end; mov.u32 %r1, %ctaid.x; or.b32 %r0, %r0, %r1; setp.ne.u32 %p1, %r0, 0;\n"
      "mov.u32 %r2, 1; mov.u32 %r3, 77; @%p1 bra wait;\nst.global.u32 [%d0], %r3; " +
      form + "; st.volatile.global.u32 [%d0+64], %r2; bra end;\nwait: ld.volatile.global.u32 %r1, [%d0+64]; " +
      "setp.ne.u32 %p1, %r1, 1; @%p1 bra wait; " + form +
      "; ld.global.u32 %r1, [%d0]; st.global.u32 [%d1], %r1;\nend: ret;\n}\n");
  const bool ofBlock = form.find("cta") != std::string::npos;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    proof.settings.seed = seed;
    const uint64_t out = proof.put(std::vector<uint32_t>(1)), data = proof.put(std::vector<uint32_t>(32));
    const Sim::Size grid = {ofBlock ? 1u : 2u}, block = {ofBlock ? 64u : 32u};
    proof.launch(grid, block, data, out);
    CHECK(proof.get<uint32_t>(out, 1)[0] == 77);
    if (!ofBlock) continue;
    const LaunchResult apart = proof.run(proof.kernel(), {2}, {32}, 0, proof.put(std::vector<uint32_t>(32)), out);
    CHECK(apart.findings.size() == 1 && apart.findings[0].check == "race");
  }
}

}  // namespace

void addAddressTruths(Truths& truths) {
  for (const Space& space : kSpaces) {
    const std::string name = space.name;
    truths.own("cvta." + name + ".u64", convert);
    truths.own("cvta.to." + name + ".u64", convert);
    truths.own("isspacep." + name, isSpace);
  }
  for (const char* name : {"prefetch.L1", "prefetch.L2", "prefetch.global.L1", "prefetch.global.L2",
                           "prefetch.global.L2::evict_last", "prefetch.global.L2::evict_normal", "prefetchu.L1"}) {
    truths.own(name, hint);
  }
  truths.own("discard.L2", discard);
  truths.own("discard.global.L2", discard);
  truths.own("applypriority.global.L2::evict_normal", priority);
  for (const char* kind : {"evict_last", "evict_normal", "evict_first", "evict_unchanged"}) {
    truths.own(std::string("createpolicy.fractional.L2::") + kind + ".b64", policy);
  }
  for (const char* name :
       {"membar.cta", "membar.gl", "membar.sys", "fence.cta", "fence.sc.cta", "fence.sc.gpu", "fence.sc.sys",
        "fence.acq_rel.cta", "fence.acq_rel.gpu", "fence.acq_rel.sys", "fence.gpu", "fence.sys"}) {
    truths.own(name, fence);
  }
}

}  // namespace warploom::test
