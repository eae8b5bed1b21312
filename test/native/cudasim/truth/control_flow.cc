// Truths of branches, returns and ends.
#include "own.h"

namespace warploom::test {

namespace {

// A number from each of 64 threads: %r1 at the end, or what was stored before.
std::vector<uint32_t> run(const std::string& body, const std::string& functions = "") {
  Proof proof(functions +
              ".visible .entry k$(.param .u64 out)\n{\n.reg .pred %p<5>; .reg .b32 %r<9>; .reg .b64 %rd<5>;\n"
              "ld.param.u64 %rd1, [out]; mov.u32 %r0, %tid.x; mul.wide.u32 %rd2, %r0, 4; add.u64 %rd1, %rd1, %rd2;\n"
              "mov.u32 %r1, 0; and.b32 %r2, %r0, 1; setp.eq.u32 %p1, %r2, 1; setp.lt.u32 %p2, %r0, 20;\n" +
              body + "st.global.u32 [%rd1], %r1;\nret;\n}\n");
  const uint64_t out = proof.put(std::vector<uint32_t>(64, 9));
  proof.launch({1}, {64}, out);
  return proof.get<uint32_t>(out, 64);
}

void expect(const std::string& form, const std::vector<uint32_t>& got, uint32_t (*wanted)(uint32_t thread)) {
  for (uint32_t i = 0; i < got.size(); ++i) {
    if (got[i] != wanted(i)) return wrong(form, "thread", i, got[i], wanted(i));
  }
}

void branch(const std::string& form) {
  // Odd threads below 20 add 100, the other odd ones 10, and all 1; each counts to its number.
  expect(form,
         run("@!%p1 bra even;\n@%p2 bra.uni low;\nadd.u32 %r1, %r1, 10; bra even;\nlow: add.u32 %r1, %r1, 100;\n"
             "even: add.u32 %r1, %r1, 1; mov.u32 %r3, 0;\n"
             "loop: setp.ge.u32 %p3, %r3, %r0; @%p3 bra done; add.u32 %r3, %r3, 1; add.u32 %r1, %r1, 1000; bra loop;\n"
             "done:\n"),
         [](uint32_t i) {
           return i * 1000 + 1 + (i % 2 == 0 ? 0 : i < 20 ? 100 : 10);
         });
}
void branchUniform(const std::string& form) {
  expect(form,
         run("mov.u32 %r3, 0;\nloop: add.u32 %r1, %r1, %r0; add.u32 %r3, %r3, 1; setp.lt.u32 %p3, %r3, 5;\n"
             "@%p3 bra.uni loop;\nbra.uni over;\nadd.u32 %r1, %r1, 7;\nover: add.u32 %r1, %r1, 1;\n"),
         [](uint32_t i) { return 5 * i + 1; });
}

void branchIndexed(const std::string& form) {
  const bool uniform = form == "brx.idx.uni";
  // Each of three targets twice, so that the index counts and not the label. Guarded: threads from 20 on fall through.
  const std::string index = uniform ? "shr.u32 %r3, %r0, 5;" : "rem.u32 %r3, %r0, 5;";
  const std::string guard = uniform ? "" : "@%p2 ";
  const std::vector<uint32_t> got =
      run("list: .branchtargets one, two, three, two, one;\n" + index + "\n" + guard + form +
          " %r3, list;\nadd.u32 %r1, %r1, 4; bra end;\none: add.u32 %r1, %r1, 10; bra end;\n"
          "two: add.u32 %r1, %r1, 20; bra end;\nthree: add.u32 %r1, %r1, 30;\nend: add.u32 %r1, %r1, 1;\n");
  if (uniform) {
    expect(form, got, [](uint32_t i) { return i < 32 ? 11u : 21u; });
  } else {
    static const uint32_t kTargets[] = {11, 21, 31, 21, 11};
    expect(form, got, [](uint32_t i) { return i < 20 ? kTargets[i % 5] : 5; });
  }
  // Past the table there is no target.
  Proof proof(
      ".visible .entry k$(.param .u32 i)\n{\n.reg .b32 %r<2>;\nld.param.u32 %r1, [i];\n"
      "list: .branchtargets one;\n" +
      form + " %r1, list;\none: ret;\n}\n");
  proof.launch({1}, {32}, uint32_t{0});
  CHECK(proof.run(proof.kernel(), {1}, {32}, 0, uint32_t{1}).status == 719);
}

// In a kernel a return ends the thread; in a function the caller goes on, and exit does not let it.
void leave(const std::string& form) {
  const bool uniform = form == "ret.uni";
  const std::string name = "f$";
  const std::string function = ".func (.param .b32 r) " + name +
                               "(.param .b32 x)\n{\n.reg .pred %p<2>; .reg .b32 %r<3>;\nld.param.u32 %r1, [x];\n"
                               "st.param.u32 [r], %r1;\nsetp.lt.u32 %p1, %r1, " +
                               (uniform ? "1000" : "20") + ";\n@%p1 " + form +
                               ";\nadd.u32 %r1, %r1, 500; st.param.u32 [r], %r1;\nret;\n}\n";
  const std::string call = "{\n.param .b32 a; .param .b32 b;\nst.param.u32 [a], %r0;\ncall (b), " + name +
                           ", (a);\nld.param.u32 %r1, [b];\n}\n";
  const std::vector<uint32_t> called = run(call + "add.u32 %r1, %r1, 1;\n", function);
  if (form == "exit") {
    expect(form, called, [](uint32_t i) { return i < 20 ? 9 : i + 501; });
  } else if (uniform) {
    expect(form, called, [](uint32_t i) { return i + 1; });
  } else {
    expect(form, called, [](uint32_t i) { return i < 20 ? i + 1 : i + 501; });
  }
  // Whole warps leave: the second stores, the first does not.
  const std::vector<uint32_t> warps = run("setp.lt.u32 %p3, %r0, 32; @%p3 " + form + ";\nmov.u32 %r1, 3;\n");
  expect(form, warps, [](uint32_t i) { return i < 32 ? 9u : 3u; });
  if (uniform) return;
  // Single lanes leave, and the others go on without them.
  expect(form, run("@%p1 " + form + ";\nactivemask.b32 %r1;\n"),
         [](uint32_t i) { return i % 2 != 0 ? 9u : 0x55555555u; });
}

void trap(const std::string& form) {
  const auto status = [](Proof& proof, uint32_t thread) {
    const LaunchResult result = proof.run(proof.kernel(), {1}, {64}, 0, thread);
    if (thread < 64) CHECK(result.findings.size() == 1 && result.findings[0].check == "trap");
    if (thread < 64) CHECK(result.findings.size() == 1 && result.findings[0].thread[0] == thread);
    return result.status;
  };
  Proof proof(
      ".visible .entry k$(.param .u32 i)\n{\n.reg .pred %p<2>; .reg .b32 %r<3>;\nld.param.u32 %r1, [i];\n"
      "mov.u32 %r2, %tid.x; setp.eq.u32 %p1, %r1, %r2;\n@%p1 " +
      form + ";\nret;\n}\n");
  CHECK(status(proof, 64) == 0);
  CHECK(status(proof, 37) == 719);
}

// Sleeping and events of the profiler change nothing.
void silent(const std::string& form) {
  const std::string text = form == "nanosleep.u32" ? "nanosleep.u32 %r0;\nnanosleep.u32 20;\n" : form + " 3;\n";
  expect(form, run("mov.u32 %r1, %r0;\n" + text + "@%p1 " + text.substr(0, text.find('\n') + 1)),
         [](uint32_t i) { return i; });
}

}  // namespace

void addFlowTruths(Truths& truths) {
  truths.own("bra", branch);
  truths.own("bra.uni", branchUniform);
  truths.own("brx.idx", branchIndexed);
  truths.own("brx.idx.uni", branchIndexed);
  for (const char* form : {"ret", "ret.uni", "exit"}) truths.own(form, leave);
  truths.own("trap", trap);
  for (const char* form : {"nanosleep.u32", "pmevent", "pmevent.mask"}) truths.own(form, silent);
}

}  // namespace warploom::test
