// Registers that share slots against registers that do not: the same results, findings and counts for random kernels
// with loops, diverged branches, guards, values of both widths and operations across lanes. CUDASIM_KERNELS says how
// many (200), CUDASIM_KERNEL_SEED where the seeds start (1); a failure names its seed.
#include <cstdlib>
#include <random>
#include <set>

#include "cudasim/exec/program.h"
#include "sim.h"

using namespace warploom::test;

namespace {

constexpr int kThreads = 64, kWords = 64;

// Writes the body of a kernel. A register is read only where every path has written it before.
class Writer {
 public:
  explicit Writer(uint32_t seed) : random_(seed) {}

  std::string kernel() {
    define(0);
    for (int i = 0; i < 4; ++i) narrow();
    statements(10 + below(30), 0);
    if (below(3) == 0) line("@" + predicate() + " bra DONE;");
    // What is left at the end goes to memory.
    line("xor.b32 %r1, %r1, %r1;");
    for (int reg : known_) line("mad.lo.s32 %r1, %r1, 31, %r" + std::to_string(reg) + ";");
    for (int reg : wide_) {
      line("cvt.u32.u64 %r0, %rd" + std::to_string(reg) + ";");
      line("mad.lo.s32 %r1, %r1, 31, %r0;");
    }
    line("st.global.u32 [%out], %r1;");
    return R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry random(.param .u64 in, .param .u64 out)
{
  .reg .b32 %r<400>, %count<400>;
  .reg .b64 %rd<400>, %in, %out, %at;
  .reg .pred %p<400>, %q;
  .shared .align 4 .b8 words[256];
  ld.param.u64 %in, [in];
  ld.param.u64 %out, [out];
  mov.u32 %r0, %tid.x;
  mad.wide.u32 %in, %r0, 256, %in;
  mad.wide.u32 %out, %r0, 256, %out;
  mov.u32 %r2, %laneid;
)" + text_ +
           "DONE:\n  ret;\n}\n";
  }

 private:
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }
  void line(const std::string& text) { text_ += "  " + text + "\n"; }
  template <class Set>
  int any(const Set& set) {
    auto it = set.begin();
    std::advance(it, below(static_cast<uint32_t>(set.size())));
    return *it;
  }
  std::string source() {
    if (below(8) == 0) return std::to_string(below(1000));
    return "%r" + std::to_string(any(known_));
  }
  std::string old() { return "%r" + std::to_string(any(known_)); }
  // A register for a result: one that holds a value already, or a fresh one.
  int target() { return below(3) == 0 ? any(known_) : fresh_++; }
  void define(int reg) {
    if (reg == 0) reg = 2;  // the lane's number
    known_.insert(reg);
  }
  void narrow() {
    const int reg = target();
    const std::string d = "%r" + std::to_string(reg);
    switch (below(6)) {
      case 0:
        line("ld.global.u32 " + d + ", [%in+" + std::to_string(4 * below(kWords)) + "];");
        break;
      case 1:
        line("mad.lo.s32 " + d + ", " + old() + ", " + source() + ", " + old() + ";");
        break;
      case 2:
        line("xor.b32 " + d + ", " + old() + ", " + source() + ";");
        break;
      case 3:
        line("shr.u32 " + d + ", " + old() + ", " + std::to_string(below(31)) + ";");
        break;
      case 4:
        line("sub.s32 " + d + ", " + source() + ", " + old() + ";");
        break;
      default:
        line("mul.lo.s32 " + d + ", " + old() + ", " + source() + ";");
    }
    known_.insert(reg);
  }
  void wide() {
    const int reg = !wide_.empty() && below(3) == 0 ? any(wide_) : fresh_++;
    const std::string d = "%rd" + std::to_string(reg);
    if (wide_.empty() || below(3) == 0) {
      line((below(2) == 0 ? "cvt.s64.s32 " + d + ", " + old() : "mul.wide.s32 " + d + ", " + old() + ", " + old()) +
           ";");
    } else {
      line("add.s64 " + d + ", %rd" + std::to_string(any(wide_)) + ", %rd" + std::to_string(any(wide_)) + ";");
    }
    wide_.insert(reg);
  }
  // A predicate that differs between lanes.
  std::string predicate() {
    const std::string p = "%p" + std::to_string(fresh_++);
    line("and.b32 %r0, " + old() + ", 3;");
    line("setp." + std::string(below(2) == 0 ? "lt" : "eq") + ".u32 " + p + ", %r0, " + std::to_string(1 + below(3)) +
         ";");
    return p;
  }
  // Lanes meet: allowed where all of them come by.
  void across() {
    const int reg = fresh_++;
    const std::string d = "%r" + std::to_string(reg);
    switch (below(5)) {
      case 0:
        line("shfl.sync.idx.b32 " + d + "|%q, " + old() + ", " + source() + ", 31, -1;");
        break;
      case 1:
        line("shfl.sync.bfly.b32 " + d + ", " + old() + ", " + std::to_string(1 + below(31)) + ", 31, -1;");
        break;
      case 2: {
        const std::string p = predicate();
        line("vote.sync.ballot.b32 " + d + ", " + p + ", -1;");
        break;
      }
      case 3:
        line("redux.sync.add.s32 " + d + ", " + old() + ", -1;");
        break;
      default:
        line("match.any.sync.b32 " + d + ", " + old() + ", -1;");
    }
    known_.insert(reg);
  }
  // Through shared memory to another thread. Sometimes a barrier is missing: then the findings must be the same.
  void exchange() {
    const int reg = fresh_++;
    line("mov.u32 %r0, %tid.x;");
    line("shl.b32 %r0, %r0, 2;");
    if (below(8) != 0) line("bar.sync 0;");
    line("mov.u32 %r1, words;");
    line("add.s32 %r1, %r1, %r0;");
    line("st.shared.u32 [%r1], " + old() + ";");
    if (below(8) != 0) line("bar.sync 0;");
    line("xor.b32 %r0, %r0, " + std::to_string(4 * (1 + below(63))) + ";");
    line("mov.u32 %r1, words;");
    line("add.s32 %r1, %r1, %r0;");
    line("ld.shared.u32 %r" + std::to_string(reg) + ", [%r1];");
    known_.insert(reg);
  }
  void guarded() {
    const std::string p = predicate();
    const int reg = any(known_);
    line("@" + std::string(below(2) == 0 ? "!" : "") + p + " add.s32 %r" + std::to_string(reg) + ", " + old() + ", " +
         source() + ";");
  }
  // depth > 0: lanes may be apart.
  void statements(uint32_t count, int depth) {
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t what = below(depth == 0 ? 24 : 18);
      if (what < 8) {
        narrow();
      } else if (what < 11) {
        wide();
      } else if (what < 13) {
        guarded();
      } else if (what == 13) {
        line("st.global.u32 [%out+" + std::to_string(4 * (1 + below(kWords - 1))) + "], " + old() + ";");
      } else if (what < 16 && depth < 3) {
        branch(depth);
      } else if (what < 18 && depth < 3) {
        loop(depth);
      } else if (what < 22 && depth == 0) {
        across();
      } else if (depth == 0) {
        exchange();
      }
    }
  }
  void branch(int depth) {
    const std::string at = std::to_string(labels_++), p = predicate();
    const std::set<int> before = known_, wideBefore = wide_;
    line("@" + p + " bra ELSE" + at + ";");
    statements(1 + below(5), depth + 1);
    line("bra END" + at + ";");
    known_ = before;
    wide_ = wideBefore;
    text_ += "ELSE" + at + ":\n";
    if (below(2) == 0) statements(1 + below(5), depth + 1);
    known_ = before;
    wide_ = wideBefore;
    text_ += "END" + at + ":\n";
  }
  // Each lane goes round a number of times of its own.
  void loop(int depth) {
    const std::string at = std::to_string(labels_++), count = "%count" + at;
    const std::string p = "%p" + std::to_string(fresh_++);
    line("and.b32 " + count + ", " + old() + ", 3;");
    text_ += "LOOP" + at + ":\n";
    const std::set<int> before = known_, wideBefore = wide_;
    statements(1 + below(5), depth + 1);
    known_ = before;
    wide_ = wideBefore;
    line("sub.s32 " + count + ", " + count + ", 1;");
    line("setp.ge.s32 " + p + ", " + count + ", 0;");
    line("@" + p + " bra LOOP" + at + ";");
  }

  std::mt19937 random_;
  std::string text_;
  std::set<int> known_, wide_;
  int fresh_ = 3, labels_ = 0;
};

struct Outcome {
  std::vector<uint32_t> words;
  std::string findings;
  uint64_t lanes = 0;
  uint32_t bytes = 0;
};

Outcome outcome(const std::string& text, bool share, uint64_t schedule) {
  Sim sim(text, share);
  sim.settings.threads = 1;
  sim.settings.seed = schedule;
  sim.settings.counters = true;
  std::vector<uint32_t> words(kThreads * kWords);
  std::mt19937 random(7);
  for (uint32_t& word : words) word = static_cast<uint32_t>(random());
  const uint64_t in = sim.put(words), out = sim.put(std::vector<uint32_t>(kThreads * kWords));
  const LaunchResult result = sim.run("random", {1}, {kThreads}, 0, in, out);
  Outcome got;
  got.words = sim.get<uint32_t>(out, kThreads * kWords);
  for (const Finding& finding : result.findings) got.findings += finding.json() + "\n";
  got.lanes = result.counters.laneInstructions;
  got.bytes = sim.module->kernel("random")->program->registerBytes;
  return got;
}

uint32_t number(const char* name, uint32_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<uint32_t>(std::atoi(text));
}

}  // namespace

TEST(random_kernels_with_and_without_sharing) {
  const uint32_t first = number("CUDASIM_KERNEL_SEED", 1), count = number("CUDASIM_KERNELS", 200);
  std::printf("kernels of the seeds %u to %u\n", first, first + count - 1);
  uint64_t shared = 0, own = 0;
  uint32_t withFindings = 0;
  for (uint32_t seed = first; seed < first + count; ++seed) {
    Note where("kernel seed " + std::to_string(seed));
    const std::string text = Writer(seed).kernel();
    for (uint64_t schedule : {0, 1, 2}) {
      const Outcome with = outcome(text, true, schedule), without = outcome(text, false, schedule);
      CHECK(with.words == without.words);
      CHECK(with.findings == without.findings);
      CHECK(with.lanes == without.lanes);
      CHECK(with.bytes <= without.bytes);
      withFindings += !with.findings.empty();
      shared += with.bytes;
      own += without.bytes;
    }
  }
  std::printf("%.2f of the bytes, %u of %u launches with findings\n",
              static_cast<double>(shared) / static_cast<double>(own), withFindings, 3 * count);
  CHECK(count < 20 || (10 * shared < 7 * own && withFindings > 0 && withFindings < count * 3));
}
