// Branches, exits, barriers of the block, clocks.
#include <chrono>

#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

void clock32(Warp& w, const Instruction& in, uint32_t mask) {
  const auto now = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  uint32_t* d = reg<uint32_t>(w, in.d);
  eachLane(mask, [&](int i) { d[i] = static_cast<uint32_t>(now >> (in.mode == 1 ? 32 : 0)); });
}
void clock64(Warp& w, const Instruction& in, uint32_t mask) {
  const auto now = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  uint64_t* d = reg<uint64_t>(w, in.d);
  eachLane(mask, [&](int i) { d[i] = now; });
}
void nothing(Warp&, const Instruction&, uint32_t) {}

}  // namespace

void addControlForms(FormTable& table) {
  const auto flow = [&table](const std::string& name, const char* signature, Flow kind, int mode = 0, int aligned = 0) {
    Form form;
    form.signature = signature;
    form.kind = Class::control;
    form.flow = kind;
    form.mode = static_cast<uint8_t>(mode);
    form.size = static_cast<uint8_t>(aligned);
    table.add(name, form);
  };
  flow("bra", "L", Flow::branch);
  flow("bra.uni", "L", Flow::branch);
  flow("brx.idx", "A4T", Flow::branchIndexed);
  flow("brx.idx.uni", "A4T", Flow::branchIndexed);
  for (const char* name : {"ret", "ret.uni", "exit"}) flow(name, "", Flow::exit);
  flow("trap", "", Flow::trap);
  // bar.* is barrier.*.aligned: all threads of a warp must come together.
  for (const char* start : {"bar", "bar.cta", "barrier", "barrier.cta"}) {
    const std::string name = start;
    const bool old = name.rfind("bar", 0) == 0 && name.rfind("barrier", 0) != 0;
    for (int aligned = old ? 1 : 0; aligned < 2; ++aligned) {
      const std::string tail = !old && aligned == 1 ? ".aligned" : "";
      flow(name + ".sync" + tail, "A4?B4", Flow::blockBarrier, 0, aligned);
      flow(name + ".arrive" + tail, "A4B4", Flow::blockBarrier, 1, aligned);
      // The number of threads stands between the barrier and the predicate, or is absent.
      for (const char* count : {"", "#4"}) {
        const char* s4 = count[0] == '\0' ? "D4A4C1" : "D4A4B4C1";
        const char* s1 = count[0] == '\0' ? "D1A4C1" : "D1A4B4C1";
        flow(name + ".red.popc" + tail + ".u32" + count, s4, Flow::blockBarrier, 2, aligned);
        flow(name + ".red.and" + tail + ".pred" + count, s1, Flow::blockBarrier, 3, aligned);
        flow(name + ".red.or" + tail + ".pred" + count, s1, Flow::blockBarrier, 4, aligned);
      }
    }
  }
  flow("bar.warp.sync", "E4", Flow::warpBarrier);
  const auto plain = [&table](const std::string& name, const char* signature, Handler fn, int mode = 0) {
    table.addMode(name, signature, fn, mode, Class::control);
  };
  plain("nanosleep.u32", "A4", &nothing);
  plain("mov.%clock", "D4", &clock32);
  plain("mov.%clock_hi", "D4", &clock32, 1);
  plain("mov.%clock64", "D8", &clock64);
  plain("mov.%globaltimer", "D8", &clock64);
  plain("mov.%globaltimer_lo", "D4", &clock32);
  plain("mov.%globaltimer_hi", "D4", &clock32, 1);
  plain("pmevent", "I", &nothing);
  plain("pmevent.mask", "I", &nothing);
}

}  // namespace warploom::cudasim
