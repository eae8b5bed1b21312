// What the decoder refuses, and how it says so. What it accepts: truth_test.cc.
#include "sim.h"

using namespace warploom::test;

TEST(refusals_name_line_and_instruction) {
  std::string log;
  const std::string text =
      ".version 8.0\n.target sm_80\n.address_size 64\n.entry k()\n{\n.reg .b32 %r<3>;\nfrobnicate.u32 %r0, %r1, "
      "%r2;\nret;\n}\n";
  CHECK(warploom::cudasim::parseModule(text.data(), text.size(), log) == nullptr);
  CHECK(log == "line 7: frobnicate.u32: this instruction is not modelled");
  const std::string open =
      ".version 8.0\n.target sm_80\n.address_size 64\n.entry k()\n{\n.reg .b32 %r<3>;\nadd.u32 %r0, %r1, "
      "%x;\nret;\n}\n";
  CHECK(warploom::cudasim::parseModule(open.data(), open.size(), log) == nullptr || !log.empty());
  CHECK(log.find("line 7: ") == 0);
}
