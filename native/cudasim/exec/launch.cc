#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <stdexcept>
#include <thread>

#include "cudasim/exec/block.h"

namespace warploom::cudasim {

namespace {

constexpr uint64_t kTurn = 200000;     // steps of a block before another may run on its thread
constexpr uint64_t kAlone = 2000;      // steps of a launch before it asks for other threads
constexpr std::size_t kResident = 64;  // blocks a thread holds at once

// Worker threads that live as long as the process: a launch of one small block must not pay for a thread.
class Pool {
 public:
  static Pool& instance() {
    static Pool* pool = new Pool;  // never destroyed: its threads may still wait at exit
    return *pool;
  }
  // Runs work(0) on the calling thread, which may call wake() for work(1) to work(n - 1) beside it. Launches take
  // turns.
  void run(int n, const std::function<void(int)>& work) {
    const std::lock_guard<std::mutex> turn(turn_);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      work_ = &work;
      wanted_ = n;
      ++generation_;
    }
    work(0);
    std::unique_lock<std::mutex> lock(mutex_);
    work_ = nullptr;  // whoever wakes up only now comes too late
    done_.wait(lock, [this] { return busy_ == 0; });
  }
  void wake() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      while (threads_ < wanted_ - 1) {
        const int index = ++threads_;
        std::thread([this, index] { loop(index); }).detach();
      }
    }
    wake_.notify_all();
  }

 private:
  void loop(int index) {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return generation_ != seen && work_ != nullptr; });
      seen = generation_;
      if (index >= wanted_) continue;
      const std::function<void(int)>* work = work_;
      ++busy_;
      lock.unlock();
      (*work)(index);
      lock.lock();
      if (--busy_ == 0) done_.notify_all();
    }
  }
  std::mutex turn_, mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int)>* work_ = nullptr;
  int wanted_ = 0, busy_ = 0, threads_ = 0;
  uint64_t generation_ = 0;
};

// Blocks that small launches leave behind for the next: their memory is worth more than their content.
class SpareBlocks {
 public:
  static SpareBlocks& instance() {
    static SpareBlocks* spare = new SpareBlocks;
    return *spare;
  }
  std::unique_ptr<Block> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (blocks_.empty()) return std::make_unique<Block>();
    std::unique_ptr<Block> block = std::move(blocks_.back());
    blocks_.pop_back();
    return block;
  }
  void give(std::unique_ptr<Block> block) {
    constexpr std::size_t kMost = 16, kMostBytes = 1 << 20;
    std::size_t bytes = block->sharedStore.capacity() + block->granules.capacity() * sizeof(Granule);
    for (const auto& warp : block->warps) bytes += warp->registerStore.capacity() + 2 * warp->localStore.capacity();
    if (bytes > kMostBytes) return;
    block->run = nullptr;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (blocks_.size() < kMost) blocks_.push_back(std::move(block));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

uint64_t scramble(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

bool dependsOnLane(Special kind) {
  return (kind >= Special::tidX && kind <= Special::tidZ) || kind == Special::laneid ||
         (kind >= Special::lanemaskEq && kind <= Special::lanemaskGt);
}

uint64_t valueOf(const Warp& warp, const Constant& constant, const Block& block, uint32_t lane) {
  const Launch& launch = block.run->launch;
  const uint32_t* n = launch.block;
  const uint32_t thread = warp.index * kLanes + lane;
  uint64_t value = 0;
  switch (constant.kind) {
    case Special::immediate:
      value = constant.value;
      break;
    case Special::globalAddress: {
      const Global* global = block.run->program.globals[constant.value >> 32];
      value = global->address + static_cast<uint64_t>(static_cast<int32_t>(constant.value));
      break;
    }
    case Special::tidX:
      value = thread % n[0];
      break;
    case Special::tidY:
      value = thread / n[0] % n[1];
      break;
    case Special::tidZ:
      value = thread / n[0] / n[1];
      break;
    case Special::ntidX:
    case Special::ntidY:
    case Special::ntidZ:
      value = n[static_cast<int>(constant.kind) - static_cast<int>(Special::ntidX)];
      break;
    case Special::ctaidX:
    case Special::ctaidY:
    case Special::ctaidZ:
      value = block.id[static_cast<int>(constant.kind) - static_cast<int>(Special::ctaidX)];
      break;
    case Special::nctaidX:
    case Special::nctaidY:
    case Special::nctaidZ:
      value = launch.grid[static_cast<int>(constant.kind) - static_cast<int>(Special::nctaidX)];
      break;
    case Special::laneid:
      value = lane;
      break;
    case Special::warpid:
      value = warp.index;
      break;
    case Special::nwarpid:
      value = 64;
      break;
    case Special::smid:
      value = (block.id[0] + block.id[1] * launch.grid[0] + block.id[2] * launch.grid[0] * launch.grid[1]) %
              kMultiprocessors;
      break;
    case Special::nsmid:
      value = kMultiprocessors;
      break;
    case Special::gridid:
      value = block.run->gridId;
      break;
    case Special::lanemaskEq:
      value = 1u << lane;
      break;
    case Special::lanemaskLe:
      value = (2u << lane) - 1;
      break;
    case Special::lanemaskLt:
      value = (1u << lane) - 1;
      break;
    case Special::lanemaskGe:
      value = 0xffffffffu << lane;
      break;
    case Special::lanemaskGt:
      value = lane == 31 ? 0 : 0xffffffffu << (lane + 1);
      break;
    case Special::dynamicSmemSize:
      value = launch.dynamicShared;
      break;
    case Special::totalSmemSize:
      // Whole units of allocation, without the system's part.
      value = (launch.kernel->staticShared + launch.dynamicShared + 127) / 128 * 128;
      break;
    case Special::reservedSmem:
      value = block.run->sharedBytes - kReservedShared;
      break;
    case Special::gridWorkspaceHigh:
      value = reinterpret_cast<uint64_t>(block.run->gridWorkspace) >> 32;
      break;
    case Special::gridWorkspaceLow:
      value = reinterpret_cast<uint64_t>(block.run->gridWorkspace) & 0xffffffffu;
      break;
  }
  return value;
}

void fill(Warp& warp, const Constant& constant, const Block& block) {
  const bool each = dependsOnLane(constant.kind);
  uint64_t value = valueOf(warp, constant, block, 0);
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    if (each) value = valueOf(warp, constant, block, lane);
    if (constant.wide) {
      reg<uint64_t>(warp, constant.offset)[lane] = value;
    } else {
      reg<uint32_t>(warp, constant.offset)[lane] = static_cast<uint32_t>(value);
    }
  }
}

bool sameForAllBlocks(Special kind) {
  return kind < Special::ctaidX || (kind > Special::ctaidZ && kind != Special::smid);
}

// One thread's share: blocks of its own, in turns. alone: other threads are waiting to be called.
void work(RunState& run, bool alone) {
  std::deque<std::unique_ptr<Block>> active;
  std::vector<std::unique_ptr<Block>> spare;
  bool more = true;
  bool resume = false;  // the block in front has only begun its turn
  uint64_t own = 0;
  while (!run.stop.load(std::memory_order_relaxed)) {
    // A block that has not finished in its turn may wait for one that has not started: in a cooperative launch, for
    // all.
    if (more && !resume && (active.size() < kResident || run.launch.cooperative)) {
      const uint64_t index = run.nextBlock.fetch_add(1);
      if (index >= run.blocks) {
        more = false;
      } else {
        std::unique_ptr<Block> block;
        if (!spare.empty()) {
          block = std::move(spare.back());
          spare.pop_back();
        } else {
          block = SpareBlocks::instance().take();
        }
        startBlock(*block, run, index);
        active.push_front(std::move(block));
      }
    }
    if (active.empty()) {
      if (!more) break;
      continue;
    }
    std::unique_ptr<Block> block = std::move(active.front());
    active.pop_front();
    // Waking a thread costs more than a small launch does.
    const uint64_t turn = alone ? kAlone : kTurn;
    block->credit = turn;
    bool finished = false;
    try {
      finished = runBlock(*block);
    } catch (const Fault& fault) {
      const std::lock_guard<std::mutex> lock(run.mutex);
      if (run.result.status == 0) run.result.status = fault.status;
      run.stop = true;
    }
    const uint64_t used = turn - block->credit;
    const uint64_t total = run.steps.fetch_add(used) + used;
    own += used;
    resume = alone && !finished;
    if (alone && own >= kAlone) {
      Pool::instance().wake();
      alone = false;
    }
    if (!finished && total > run.settings.maxSteps && !run.stop.exchange(true)) {
      for (const auto& warp : block->warps) {
        if (warp->finished || warp->groups.empty()) continue;
        const Group& group = warp->groups.front();
        report(*warp, run.program.code[group.pc], "timeout", __builtin_ctz(group.mask),
               "the launch ran for more than " + std::to_string(run.settings.maxSteps) +
                   " steps (CUDASIM_MAX_STEPS); this thread stands here");
        break;
      }
      const std::lock_guard<std::mutex> lock(run.mutex);
      if (run.result.status == 0) run.result.status = 719;
    }
    if (finished) {
      if (run.settings.counters) {
        const std::lock_guard<std::mutex> lock(run.mutex);
        for (const auto& warp : block->warps) run.result.counters.add(warp->counters);
        addExecuted(*block, run.result.counters);
      }
      spare.push_back(std::move(block));
    } else if (resume) {
      active.push_front(std::move(block));
    } else {
      active.push_back(std::move(block));
    }
  }
  for (std::unique_ptr<Block>& block : spare) SpareBlocks::instance().give(std::move(block));
}

}  // namespace

void startBlock(Block& block, RunState& run, uint64_t index) {
  const Launch& launch = run.launch;
  const Kernel& kernel = *launch.kernel;
  const bool isNew = block.run == nullptr;  // to this launch
  if (run.settings.seed != 0) {
    // An order of blocks from the seed: a bijection of the indices by a stride that has no factor with their number.
    uint64_t stride = scramble(run.settings.seed) % run.blocks | 1;
    const auto gcd = [](uint64_t a, uint64_t b) {
      while (b != 0) a %= b, std::swap(a, b);
      return a;
    };
    while (gcd(stride, run.blocks) != 1) stride += 2;
    index = (index * stride + scramble(run.settings.seed + 1)) % run.blocks;
  }
  block.run = &run;
  block.id[0] = static_cast<uint32_t>(index % launch.grid[0]);
  block.id[1] = static_cast<uint32_t>(index / launch.grid[0] % launch.grid[1]);
  block.id[2] = static_cast<uint32_t>(index / launch.grid[0] / launch.grid[1]);
  block.threads = launch.block[0] * launch.block[1] * launch.block[2];
  block.cursor = 0;
  if (isNew) block.sharedStore.resize(run.sharedBytes + 256);
  block.shared = reinterpret_cast<uint8_t*>((reinterpret_cast<uint64_t>(block.sharedStore.data()) + 127) / 128 * 128);
  std::memset(block.shared, 0xff, run.sharedBytes);
  if (run.settings.init) block.sharedValid.assign(run.sharedBytes, 0);
  if (run.program.reservesShared) {
    // The system hands its part over as zeros.
    std::memset(block.shared + run.sharedBytes - kReservedShared, 0, kReservedShared);
    if (run.settings.init)
      std::memset(block.sharedValid.data() + run.sharedBytes - kReservedShared, 1, kReservedShared);
  }
  if (run.settings.race) {
    block.granuleShift = 2;
    block.granules.assign((run.sharedBytes + 3) / 4, Granule{});
  }
  if (isNew && run.settings.counters) block.executed.assign(run.program.code.size(), Executed{});
  for (Barrier& barrier : block.barriers) barrier = Barrier{};
  block.mbarriers.clear();
  block.readClocks.clear();
  const uint32_t warps = (block.threads + kLanes - 1) / kLanes;
  if (isNew) block.warps.resize(warps);
  for (uint32_t i = 0; i < warps; ++i) {
    std::unique_ptr<Warp>& slot = block.warps[i];
    if (slot == nullptr) slot = std::make_unique<Warp>();
    if (isNew) {
      slot->registerStore.assign(run.program.registerBytes + 128, 0);
      slot->localStore.resize(uint64_t{kernel.localBytes} * kLanes + 128);
    }
    Warp& warp = *slot;
    warp.block = &block;
    warp.index = i;
    const auto aligned = [](std::vector<uint8_t>& bytes) {
      return reinterpret_cast<uint8_t*>((reinterpret_cast<uint64_t>(bytes.data()) + 63) / 64 * 64);
    };
    warp.regs = aligned(warp.registerStore);
    warp.local = aligned(warp.localStore);
    std::memset(warp.local, 0xff, uint64_t{kernel.localBytes} * kLanes);
    if (run.settings.init) warp.localValid.assign(uint64_t{kernel.localBytes} * kLanes, 0);
    warp.params = launch.params.data();
    const uint32_t here = block.threads - i * kLanes;
    warp.live = here >= kLanes ? 0xffffffffu : (1u << here) - 1;
    warp.finished = false;
    warp.backward = 0;
    warp.rng = static_cast<uint32_t>(scramble(run.settings.seed * 1000003 + index * 64 + i)) | 1;
    warp.low = 1;
    warp.touched = warp.compulsory = nullptr;
    warp.high = 0;
    std::fill(warp.clock, warp.clock + 32, 0);
    warp.clock[i] = 1;
    warp.epoch = 0;
    warp.copies.clear();
    warp.issued = 0;
    std::fill(warp.committed, warp.committed + kLanes, 0);
    warp.counters = Counters{};
    Group all;
    all.mask = warp.live;
    warp.groups.assign(1, all);
    for (const Constant& constant : run.program.constants) {
      if (isNew || !sameForAllBlocks(constant.kind)) fill(warp, constant, block);
    }
  }
  if (run.races != nullptr) run.races->start(block);
}

namespace {

// A mutant that leaves nothing out would pass every test.
bool skipsNothing(const Kernel& kernel, const Settings& settings) {
  if (settings.skipLine == 0 || settings.skipKernel != kernel.name) return false;
  const std::vector<Place>& places = kernel.program->places;
  return std::none_of(places.begin(), places.end(),
                      [&](const Place& place) { return place.ptxLine == settings.skipLine; });
}

// Memory of the driver that kernels of a cooperative launch may touch while it runs.
class GridWorkspace {
 public:
  explicit GridWorkspace(const Launch& launch) : memory_(launch.cooperative ? launch.memory : nullptr) {
    if (memory_ != nullptr) memory_->registerHost(words_, sizeof(words_));
  }
  ~GridWorkspace() {
    if (memory_ != nullptr) memory_->unregisterHost(words_);
  }
  GridWorkspace(const GridWorkspace&) = delete;
  GridWorkspace& operator=(const GridWorkspace&) = delete;
  const uint32_t* address() const { return memory_ == nullptr ? nullptr : words_; }

 private:
  Memory* memory_;
  alignas(16) uint32_t words_[2] = {sizeof(words_), 0};
};

}  // namespace

LaunchResult execute(const Launch& launch, const Settings& settings) {
  const Kernel& kernel = *launch.kernel;
  if (skipsNothing(kernel, settings)) {
    Finding finding;
    finding.check = "skip";
    finding.kernel = kernel.name;
    finding.ptxLine = settings.skipLine;
    finding.message = "CUDASIM_SKIP=" + kernel.name + ":" + std::to_string(settings.skipLine) +
                      ": that line of the PTX holds no instruction of this kernel";
    LaunchResult result;
    result.status = 719;
    result.findings.push_back(finding);
    return result;
  }
  if (launch.params.size() < kernel.paramBytes) {
    throw std::invalid_argument(kernel.name + ": " + std::to_string(launch.params.size()) +
                                " bytes of parameters for " + std::to_string(kernel.paramBytes));
  }
  static std::atomic<uint64_t> grids{0};
  RunState run(launch, settings, *kernel.program);
  run.gridId = ++grids;
  run.blocks = uint64_t{launch.grid[0]} * launch.grid[1] * launch.grid[2];
  if (run.blocks == 0 || launch.block[0] * launch.block[1] * launch.block[2] == 0 ||
      launch.block[0] * launch.block[1] * launch.block[2] > 1024) {
    throw std::invalid_argument(kernel.name + ": a grid or block of no size, or more than 1024 threads a block");
  }
  run.sharedBytes = kernel.staticShared + launch.dynamicShared;
  if (kernel.program->reservesShared) run.sharedBytes = (run.sharedBytes + 127) / 128 * 128 + kReservedShared;
  run.fullChecks = settings.init || settings.race || settings.counters || launch.recordTouched;
  if (settings.race) run.races = std::make_unique<GlobalRaces>(run);
  if (settings.counters) run.compulsory = std::make_unique<CompulsoryBytes>(launch);
  if (launch.recordTouched) run.touched = std::make_unique<TouchedWords>(launch);
  GridWorkspace workspace(launch);
  run.gridWorkspace = workspace.address();
  int threads = settings.threads > 0 ? settings.threads : static_cast<int>(std::thread::hardware_concurrency());
  threads = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(std::max(threads, 1)), run.blocks));
  if (threads == 1) {
    work(run, false);
  } else {
    Pool::instance().run(threads, [&run](int index) { work(run, index == 0); });
  }
  LaunchResult& result = run.result;
  std::sort(result.findings.begin(), result.findings.end(), [](const Finding& a, const Finding& b) {
    return std::make_pair(a.ptxLine, a.check + a.message) < std::make_pair(b.ptxLine, b.check + b.message);
  });
  for (const Finding& finding : result.findings) {
    if (result.status == 0) result.status = finding.check == "mem" ? 700 : 719;
  }
  if (!settings.mem) {
    // The launch has failed all the same; only the report is not wanted.
    result.findings.erase(std::remove_if(result.findings.begin(), result.findings.end(),
                                         [](const Finding& finding) { return finding.check == "mem"; }),
                          result.findings.end());
  }
  result.counters.launches = 1;
  if (run.compulsory != nullptr) run.compulsory->count(result.counters);
  if (run.touched != nullptr) result.touched = run.touched->ranges();
  return std::move(run.result);
}

}  // namespace warploom::cudasim
