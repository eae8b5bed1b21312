// Calls of what the driver brings: printf and assertions.
#include "own.h"

namespace warploom::test {

namespace {

std::string bytesOf(const std::string& text) {
  std::string list;
  for (char c : text) list += std::to_string(static_cast<int>(c)) + ", ";
  return list + "0";
}
std::string stringNamed(const std::string& name, const std::string& text) {
  return ".global .align 1 .b8 " + name + "$[" + std::to_string(text.size() + 1) + "] = {" + bytesOf(text) + "};\n";
}

// As nvcc calls it: arguments in local memory, each aligned to its size.
const char* const kPrint = ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n";

void print(const std::string& form) {
  const std::string format = "%d|%5u|%-6x|%s|%c|%8.3f|%lld|%%|%g|%*d\n";
  const std::string text =
      stringNamed("format", format) + stringNamed("word", "w\"rd") +
      ".visible .entry k$(.param .u64 out)\n{\n.reg .pred %p<3>; .reg .b32 %r<9>; .reg .b64 %d<9>;\n"
      ".local .align 8 .b8 lm[80];\n"
      "mov.u32 %r0, %tid.x; mov.u64 %d0, lm; cvta.local.u64 %d1, %d0;\n"
      "sub.u32 %r1, %r0, 2; st.local.u32 [%d0], %r1; st.local.u32 [%d0+4], %r0;\n"
      "mov.u32 %r2, 48879; st.local.u32 [%d0+8], %r2; mov.u64 %d2, word$; cvta.global.u64 %d2, %d2;\n"
      "st.local.u64 [%d0+16], %d2; add.u32 %r3, %r0, 65; st.local.u32 [%d0+24], %r3;\n"
      "mov.b64 %d3, 0dC00921FB54442D18; st.local.b64 [%d0+32], %d3; mov.s64 %d4, -5000000000;\n"
      "st.local.u64 [%d0+40], %d4; mov.b64 %d5, 0d3FE0000000000000; st.local.b64 [%d0+48], %d5;\n"
      "mov.u32 %r4, 4; st.local.u32 [%d0+56], %r4; st.local.u32 [%d0+60], %r0;\n"
      "mov.u64 %d6, format$; cvta.global.u64 %d6, %d6; setp.lt.u32 %p1, %r0, 3; @!%p1 bra end;\n"
      "{ .param .b64 f0; st.param.b64 [f0], %d6; .param .b64 a0; st.param.b64 [a0], %d1;\n"
      ".param .b32 r0; call.uni (r0), vprintf, (f0, a0); ld.param.b32 %r5, [r0]; }\n"
      "ld.param.u64 %d7, [out]; mad.wide.u32 %d7, %r0, 4, %d7; st.global.u32 [%d7], %r5;\n"
      "end: ret;\n}\n";
  Proof proof(kPrint + text);
  const uint64_t out = proof.put(std::vector<uint32_t>(32));
  const LaunchResult result = proof.clean(proof.kernel(), {1}, {32}, 0, out);
  std::string expected;
  for (int i = 0; i < 3; ++i) {
    char line[256];
    std::snprintf(line, sizeof(line), "%d|%5u|%-6x|%s|%c|%8.3f|%lld|%%|%g|%*d\n", i - 2, static_cast<unsigned>(i),
                  48879u, "w\"rd", 'A' + i, -3.141592653589793, -5000000000LL, 0.5, 4, i);
    expected += line;
  }
  if (result.output != expected) failed("truth", 0, form + " printed: " + result.output);
  for (uint32_t i = 0; i < 3; ++i) CHECK(proof.get<uint32_t>(out, 32)[i] == 10);
}

void assertion(const std::string& form) {
  Proof proof(
      ".extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 c);\n" +
      stringNamed("message", "n < 4") + stringNamed("file", "a/b.cu") + stringNamed("name", "void f(int)") +
      ".visible .entry k$(.param .u32 n)\n{\n.reg .pred %p<3>; .reg .b32 %r<4>; .reg .b64 %d<4>;\n"
      "mov.u32 %r0, %tid.x; ld.param.u32 %r1, [n]; setp.ne.u32 %p1, %r0, %r1; @%p1 bra end;\n"
      "mov.u64 %d0, message$; cvta.global.u64 %d0, %d0; mov.u64 %d1, file$; cvta.global.u64 %d1, %d1;\n"
      "mov.u64 %d2, name$; cvta.global.u64 %d2, %d2;\n"
      "{ .param .b64 p0; st.param.b64 [p0], %d0; .param .b64 p1; st.param.b64 [p1], %d1; .param .b32 p2;\n"
      "st.param.b32 [p2], 21; .param .b64 p3; st.param.b64 [p3], %d2; .param .b64 p4; st.param.b64 [p4], 1;\n"
      "call.uni __assertfail, (p0, p1, p2, p3, p4); }\nend: ret;\n}\n");
  proof.clean(proof.kernel(), {1}, {64}, 0, uint32_t{100});
  const LaunchResult result = proof.run(proof.kernel(), {1}, {64}, 0, uint32_t{37});
  CHECK(result.status == 710);
  if (result.findings.size() != 1) return failed("truth", 0, form + ": not one finding");
  const Finding& finding = result.findings[0];
  CHECK(finding.check == "assert" && finding.thread[0] == 37);
  CHECK(finding.message.find("a/b.cu:21: void f(int): assertion `n < 4` failed") == 0);
}

}  // namespace

void addSystemTruths(Truths& truths) {
  truths.own("vprintf", print);
  truths.own("__assertfail", assertion);
}

}  // namespace warploom::test
