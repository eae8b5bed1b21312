// Every instruction form that the decoder accepts has a truth table, and the assembler of the toolkit knows each of
// them.
#include "truth/truth.h"

#include <cstdlib>

#include "cudasim/ptx/forms.h"
#include "sim.h"
#include "truth/own.h"

using namespace warploom::test;

namespace {

const Truths& allTruths() {
  static const Truths* truths = [] {
    auto* made = new Truths;
    addIntegerTruths(*made);
    addCompareTruths(*made);
    addConvertTruths(*made);
    addFloatTruths(*made);
    addHalfTruths(*made);
    addMemoryTruths(*made);
    addAtomicTruths(*made);
    addWarpTruths(*made);
    addMatrixTruths(*made);
    addControlTruths(*made);
    addVideoTruths(*made);
    return made;
  }();
  return *truths;
}

}  // namespace

TEST(truth_tables) {
  // One form or family alone: CUDASIM_FORM=add.f32.
  const char* only = std::getenv("CUDASIM_FORM");
  std::size_t proven = 0;
  for (const auto& entry : allTruths().all()) {
    if (only != nullptr && entry.first.rfind(only, 0) != 0) continue;
    if (warploom::cudasim::formTable().find(entry.first) == nullptr) {
      failed("truth_tables", 0, "not a form: " + entry.first);
      continue;
    }
    try {
      if (entry.second.own) {
        Note note(entry.first);
        entry.second.own(entry.first);
      } else {
        prove(entry.first, entry.second);
      }
      ++proven;
    } catch (const std::exception& error) {
      failed("truth_tables", 0, entry.first + ": " + error.what());
    }
  }
  for (const std::string& form : allTruths().twice()) failed("truth_tables", 0, "two truths: " + form);
  std::printf("%zu of %zu forms have a truth table\n", proven, warploom::cudasim::formTable().all().size());
}

TEST(each_form_has_a_truth_table) {
  for (const auto& form : warploom::cudasim::formTable().all()) {
    if (allTruths().all().count(form.first) == 0) failed("truth", 0, "no truth table: " + form.first);
  }
}

// What ptxas would refuse is no form. With CUDASIM_PTXAS naming it, all kernels of the tables are assembled.
TEST(the_assembler_takes_each_form) {
  const char* ptxas = std::getenv("CUDASIM_PTXAS");
  if (ptxas == nullptr) {
    std::printf("SKIPPED: CUDASIM_PTXAS names no assembler\n");
    return;
  }
  // A text for each version and architecture that forms need.
  std::map<std::pair<std::string, std::string>, std::string> texts;
  int number = 0;
  for (const auto& entry : allTruths().all()) {
    if (entry.second.own) continue;
    std::string& text = texts[{headerOf(entry.second), entry.second.target}];
    text += "// " + entry.first + "\n" + kernelText(entry.first, entry.second, "k" + std::to_string(number++));
  }
  // Those of the own tests, which have run before.
  for (const auto& entry : ownModules()) {
    texts[{".version 8.0\n.target " + entry.first + "\n.address_size 64\n", entry.first}] += entry.second;
  }
  for (const auto& text : texts) {
    const std::string path = "cudasim-truth.ptx";
    std::ofstream(path) << text.first.first << text.second;
    const std::string command =
        std::string(ptxas) + " -arch=" + text.first.second + " -O0 -o cudasim-truth.cubin " + path;
    CHECK(std::system(command.c_str()) == 0);
  }
}
