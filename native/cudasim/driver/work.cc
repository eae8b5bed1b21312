// What each kind of operation does when its turn has come.
#include "cudasim/driver/work.h"

#include <algorithm>
#include <cstring>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

// Rows of a box as ranges; a box of many rows counts as one range from its first to its last byte.
void addRanges(const Box& box, const Work& work, bool wrote, std::vector<Touched>& out) {
  if (work.width == 0 || work.height == 0 || work.depth == 0) return;
  const uint64_t rows = work.height * work.depth;
  const bool dense =
      (rows == 1) || (box.pitch == work.width && (work.depth == 1 || box.slice == work.width * work.height));
  if (dense || rows > 1024) {
    const uint64_t bytes = (work.depth - 1) * box.slice + (work.height - 1) * box.pitch + work.width;
    out.push_back({box.address, bytes, wrote});
    return;
  }
  for (uint64_t z = 0; z < work.depth; ++z) {
    for (uint64_t y = 0; y < work.height; ++y) {
      out.push_back({box.address + z * box.slice + y * box.pitch, work.width, wrote});
    }
  }
}

template <class Row>
void forEachRow(const Work& work, Row&& row) {
  for (uint64_t z = 0; z < work.depth; ++z) {
    for (uint64_t y = 0; y < work.height; ++y) {
      row(work.to.address + z * work.to.slice + y * work.to.pitch,
          work.from.address + z * work.from.slice + y * work.from.pitch);
    }
  }
}

Outcome lost(const Driver& driver, const Device& device, const std::string& what, uint64_t address) {
  Outcome outcome;
  Finding finding;
  finding.check = "mem";
  finding.kernel = what;
  finding.message =
      what + ": the range is not inside live memory when its turn comes: " + device.memory->describe(address);
  outcome.findings.push_back(finding);
  outcome.status = CUDA_ERROR_ILLEGAL_ADDRESS;
  (void)driver;
  return outcome;
}

// The map of initialised bytes follows the bytes.
void carryMap(const Place& to, uint64_t target, const Place& from, uint64_t source, uint64_t bytes) {
  if (to.memory == nullptr) return;
  uint8_t* into = to.memory->validity(target);
  if (into == nullptr) return;
  const uint8_t* out = from.memory != nullptr && !from.pinned ? from.memory->validity(source) : nullptr;
  if (out != nullptr) {
    std::memmove(into, out, bytes);
  } else {
    to.memory->setInitialised(target, bytes);
  }
}

Outcome performCopy(Driver& driver, const Work& work, const std::string& what) {
  Outcome outcome;
  const Place to = driver.locate(work.to.address), from = driver.locate(work.from.address);
  std::vector<Touched> ranges = work.declared(driver);
  for (const Touched& range : ranges) {
    const bool device = range.wrote ? work.toDevice : work.fromDevice;
    const Place place = driver.locate(range.address);
    if (device && !driver.covers(place, range.address, range.bytes)) {
      return lost(driver, *work.device, what, range.address);
    }
  }
  if ((work.toDevice && to.memory == nullptr)) return lost(driver, *work.device, what, work.to.address);
  if ((work.fromDevice && from.memory == nullptr)) return lost(driver, *work.device, what, work.from.address);
  forEachRow(work, [&](uint64_t target, uint64_t source) {
    std::memmove(reinterpret_cast<void*>(target), reinterpret_cast<const void*>(source), work.width);
    carryMap(to, target, from, source, work.width);
  });
  outcome.touched = std::move(ranges);
  return outcome;
}

Outcome performFill(Driver& driver, const Work& work, const std::string& what) {
  Outcome outcome;
  const Place to = driver.locate(work.to.address);
  std::vector<Touched> ranges = work.declared(driver);
  for (const Touched& range : ranges) {
    if (!driver.covers(to, range.address, range.bytes)) return lost(driver, *work.device, what, range.address);
  }
  forEachRow(work, [&](uint64_t target, uint64_t) {
    auto* bytes = reinterpret_cast<uint8_t*>(target);
    if (work.elementBytes == 1) {
      std::memset(bytes, static_cast<int>(work.value), work.width);
    } else {
      for (uint64_t i = 0; i < work.width; i += work.elementBytes) {
        std::memcpy(bytes + i, &work.value, work.elementBytes);
      }
    }
    to.memory->setInitialised(target, work.width);
  });
  outcome.touched = std::move(ranges);
  return outcome;
}

Outcome performKernel(Driver& driver, const Work& work) {
  Launch launch;
  launch.kernel = work.function->kernel;
  std::copy(work.grid, work.grid + 3, launch.grid);
  std::copy(work.block, work.block + 3, launch.block);
  launch.dynamicShared = work.sharedBytes;
  launch.cooperative = work.cooperative;
  launch.params = work.params;
  launch.memory = work.device->memory.get();
  launch.peers = work.peers;
  launch.recordTouched = driver.settings.sync && driver.schedule->severalLanes();
  LaunchResult result = execute(launch, driver.settings);
  if (!result.output.empty()) {
    // Work runs when somebody waits for it, which is when a real driver shows what kernels printed.
    std::fwrite(result.output.data(), 1, result.output.size(), stdout);
    std::fflush(stdout);
  }
  if (driver.settings.counters && !driver.settings.countersFile.empty()) {
    driver.count(*launch.kernel, result.counters);
  }
  Outcome outcome;
  outcome.status = result.status;
  if (outcome.status == 0 && !result.findings.empty()) outcome.status = CUDA_ERROR_LAUNCH_FAILED;
  outcome.findings = std::move(result.findings);
  outcome.touched = std::move(result.touched);
  return outcome;
}

}  // namespace

std::string Work::what() const {
  switch (kind) {
    case Kind::kernel:
      return "kernel " + function->kernel->name;
    case Kind::copy:
      return std::string("copy from ") + (fromDevice ? "device" : "host") + " to " + (toDevice ? "device" : "host");
    case Kind::fill:
      return "memset";
    case Kind::host:
    case Kind::callback:
      return "host function";
    case Kind::release:
      return "cuMemFreeAsync";
    default:
      return "mark";
  }
}

std::vector<Touched> Work::declared(const Driver& driver) const {
  std::vector<Touched> ranges;
  if (kind == Kind::copy) {
    if (toDevice || driver.locate(to.address).memory != nullptr) addRanges(to, *this, true, ranges);
    if (staged == nullptr && (fromDevice || driver.locate(from.address).memory != nullptr)) {
      addRanges(from, *this, false, ranges);
    }
  } else if (kind == Kind::fill) {
    addRanges(to, *this, true, ranges);
  } else if (kind == Kind::kernel) {
    // Which pinned host memory it may reach: whatever its parameters point into.
    for (std::size_t offset = 0; offset + 8 <= params.size(); offset += 8) {
      uint64_t address = 0;
      std::memcpy(&address, params.data() + offset, 8);
      if (const Allocation* allocation = driver.host->findLive(address, 1)) {
        ranges.push_back({allocation->address, allocation->size, true});
      }
    }
  }
  return ranges;
}

Outcome perform(Driver& driver, const Work& work, const std::string& what) {
  if (work.device != nullptr && work.device->sticky != 0 && work.kind != Work::Kind::callback) return {};
  switch (work.kind) {
    case Work::Kind::copy:
      return performCopy(driver, work, what);
    case Work::Kind::fill:
      return performFill(driver, work, what);
    case Work::Kind::kernel:
      return performKernel(driver, work);
    case Work::Kind::host:
      insideHostFunction() = true;
      work.hostFunction(work.userData);
      insideHostFunction() = false;
      return {};
    case Work::Kind::callback:
      insideHostFunction() = true;
      work.callback(work.stream, work.device == nullptr ? 0 : work.device->sticky, work.userData);
      insideHostFunction() = false;
      return {};
    case Work::Kind::release: {
      Outcome outcome;
      if (const Allocation* allocation = work.device->memory->findLive(work.address, 1)) {
        outcome.touched.push_back({allocation->address, allocation->size, true});
      }
      if (!work.device->memory->free(work.address)) return lost(driver, *work.device, what, work.address);
      return outcome;
    }
    default:
      return {};
  }
}

void prepareAsync(Call& call, Work& work, const JobPtr& job) {
  Driver& driver = call.driver;
  if (work.kind == Work::Kind::copy && !work.fromDevice && driver.locate(work.from.address).memory == nullptr) {
    // A driver reads pageable memory before the call returns; pinned memory it reads when the copy's turn comes.
    work.staged = std::make_shared<std::vector<uint8_t>>();
    work.staged->reserve(work.width * work.height * work.depth);
    forEachRow(work, [&](uint64_t, uint64_t source) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(source);
      work.staged->insert(work.staged->end(), bytes, bytes + work.width);
    });
    work.from = {reinterpret_cast<uint64_t>(work.staged->data()), work.width, work.width * work.height};
  }
  if (work.kind == Work::Kind::copy && !work.toDevice) {
    const Place to = driver.locate(work.to.address);
    forEachRow(work, [&](uint64_t target, uint64_t) {
      // Work still queued may read these bytes first; then they must stay as they are.
      if (!to.pinned || call.schedule().touchesPending(target, work.width)) return;
      std::memset(reinterpret_cast<void*>(target), 0xff, work.width);
    });
  }
  if (work.kind == Work::Kind::kernel) {
    work.peers.push_back(driver.host.get());
    for (Device* peer : work.function->module->context->peers) work.peers.push_back(peer->memory.get());
  }
  job->what = work.what();
  job->declared = work.declared(driver);
  job->observable = work.kind == Work::Kind::host || work.kind == Work::Kind::callback;
  if (work.kind == Work::Kind::empty) return;
  job->perform = [&driver, what = job->what, work = std::move(work)] { return perform(driver, work, what); };
}

}  // namespace warploom::cudasim
