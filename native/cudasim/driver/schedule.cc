#include "cudasim/driver/schedule.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "cudasim/driver/abi.h"

namespace warploom::cudasim {

namespace {
// As with a real driver's queue: a launch beyond this many waits for older ones.
constexpr uint64_t kQueueLimit = 1024;
// Host functions may wake somebody who makes no call at all, so they must run without one after this long.
constexpr auto kIdle = std::chrono::milliseconds(20);

bool overlap(const Touched& a, uint64_t address, uint64_t bytes) {
  return a.address < address + bytes && address < a.address + a.bytes;
}
}  // namespace

void join(Clock& into, const Clock& other) {
  if (into.size() < other.size()) into.resize(other.size(), 0);
  for (std::size_t i = 0; i < other.size(); ++i) into[i] = std::max(into[i], other[i]);
}

Schedule::Schedule(std::mutex& mutex, const Settings& settings)
    : mutex_(mutex), settings_(settings), random_(settings.seed) {}

uint32_t Schedule::takeLane() {
  for (uint32_t i = 0; i < lanes_.size(); ++i) {
    if (!lanes_[i].inUse && lanes_[i].queue.empty()) {
      lanes_[i].inUse = true;
      return i;
    }
  }
  lanes_.emplace_back();
  lanes_.back().inUse = true;
  return static_cast<uint32_t>(lanes_.size() - 1);
}

void Schedule::releaseLane(uint32_t lane) { lanes_[lane].inUse = false; }

void Schedule::enqueue(Lock& lock, const JobPtr& job) {
  while (pending_ >= kQueueLimit) {
    if (running_ != nullptr) {
      changed_.wait(lock);
    } else {
      runOne(lock, nullptr);
    }
  }
  ++calls_;
  Lane& lane = lanes_[job->lane];
  if (!lane.used) {
    lane.used = true;
    ++lanesUsed_;
  }
  job->id = ++ids_;
  job->tick = ++lane.tick;
  job->clock = host_;
  if (!lane.queue.empty()) job->after.push_back(lane.queue.back());
  for (const JobPtr& before : job->after) join(job->clock, before->clock);
  if (job->clock.size() <= job->lane) job->clock.resize(job->lane + 1, 0);
  job->clock[job->lane] = job->tick;
  lane.queue.push_back(job);
  ++pending_;
  if (job->observable && !watching_) {
    watching_ = true;
    std::thread([this] { watch(); }).detach();
  }
}

bool Schedule::ready(const Job& job) const {
  return std::all_of(job.after.begin(), job.after.end(), [](const JobPtr& before) { return before->done; });
}

JobPtr Schedule::pick(const Job* target) {
  std::vector<JobPtr> needed, others;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i].queue.empty()) continue;
    const JobPtr& head = lanes_[i].queue.front();
    if (!ready(*head)) continue;
    const bool wanted = target == nullptr || (i < target->clock.size() && head->tick <= target->clock[i]);
    (wanted ? needed : others).push_back(head);
  }
  if (settings_.seed == 0) {
    if (needed.empty()) return nullptr;
    return *std::min_element(needed.begin(), needed.end(),
                             [](const JobPtr& a, const JobPtr& b) { return a->id < b->id; });
  }
  if (!others.empty() && (random_() & 3) == 0) return others[random_() % others.size()];
  return needed.empty() ? nullptr : needed[random_() % needed.size()];
}

bool Schedule::runOne(Lock& lock, const Job* target) {
  const JobPtr job = pick(target);
  if (job == nullptr) return false;
  Outcome outcome;
  if (job->perform) {
    running_ = job.get();
    lock.unlock();
    outcome = job->perform();
    lock.lock();
    running_ = nullptr;
    job->perform = nullptr;
    if (settings_.sync) check(*job, outcome);
  }
  job->done = true;
  job->after.clear();
  job->declared.clear();
  lanes_[job->lane].queue.pop_front();
  --pending_;
  if (onOutcome && (outcome.status != 0 || !outcome.findings.empty())) onOutcome(*job, outcome);
  changed_.notify_all();
  return true;
}

void Schedule::wait(Lock& lock, const JobPtr& target) {
  ++calls_;
  if (target == nullptr) return;
  while (!target->done) {
    if (running_ != nullptr) {
      changed_.wait(lock);
    } else {
      runOne(lock, target.get());
    }
  }
  join(host_, target->clock);
}

bool Schedule::poll(Lock& lock, const JobPtr& target) {
  ++calls_;
  if (target == nullptr || target->done) {
    if (target != nullptr) join(host_, target->clock);
    return true;
  }
  if (running_ == nullptr) runOne(lock, target.get());
  return false;
}

void Schedule::drain(Lock& lock, const Device* device) {
  ++calls_;
  // Jobs queued by other threads meanwhile are not this call's to wait for.
  std::vector<JobPtr> last;
  for (const Lane& lane : lanes_) {
    for (auto job = lane.queue.rbegin(); job != lane.queue.rend(); ++job) {
      if (device != nullptr && (*job)->device != device) continue;
      last.push_back(*job);
      break;
    }
  }
  for (const JobPtr& job : last) wait(lock, job);
}

bool Schedule::touchesPending(uint64_t address, uint64_t bytes) const {
  for (const Lane& lane : lanes_) {
    for (const JobPtr& job : lane.queue) {
      if (job->observable) return true;
      for (const Touched& range : job->declared) {
        if (overlap(range, address, bytes)) return true;
      }
    }
  }
  return false;
}

void Schedule::forget() {
  // An access is history once the program has seen it done and every job still queued was queued behind it.
  const auto known = [&](const Clock& clock, const Access& access) {
    return access.lane < clock.size() && clock[access.lane] >= access.tick;
  };
  const auto old = [&](const Access& access) {
    if (!known(host_, access)) return false;
    return std::all_of(lanes_.begin(), lanes_.end(), [&](const Lane& lane) {
      return lane.queue.empty() || known(lane.queue.front()->clock, access);
    });
  };
  accesses_.erase(std::remove_if(accesses_.begin(), accesses_.end(), old), accesses_.end());
}

void Schedule::check(const Job& job, Outcome& outcome) {
  if (lanesUsed_ < 2 || outcome.touched.empty()) return;
  if (accesses_.size() > 64 && ++sinceForget_ >= 16) {
    forget();
    sinceForget_ = 0;
  }
  for (const Touched& range : outcome.touched) {
    for (const Access& other : accesses_) {
      if (!range.wrote && !other.range.wrote) continue;
      if (!overlap(other.range, range.address, range.bytes)) continue;
      if (other.lane == job.lane || (other.lane < job.clock.size() && job.clock[other.lane] >= other.tick)) continue;
      Finding finding;
      finding.check = "sync";
      finding.kernel = job.what.rfind("kernel ", 0) == 0 ? job.what.substr(7) : job.what;
      char place[32];
      std::snprintf(place, sizeof(place), "0x%llx",
                    static_cast<unsigned long long>(std::max(range.address, other.range.address)));
      finding.message = job.what + (range.wrote ? " writes " : " reads ") + place + ", which " + other.what +
                        (other.range.wrote ? " writes" : " reads") +
                        " in another stream, and no event, wait or synchronization orders the two";
      outcome.findings.push_back(finding);
      if (outcome.status == 0) outcome.status = abi::CUDA_ERROR_LAUNCH_FAILED;
      goto record;  // one finding a job says enough
    }
  }
record:
  for (const Touched& range : outcome.touched) accesses_.push_back({range, job.lane, job.tick, job.what});
}

void Schedule::watch() {
  Lock lock(mutex_);
  uint64_t seen = calls_;
  for (;;) {
    lock.unlock();
    std::this_thread::sleep_for(kIdle);
    lock.lock();
    JobPtr waiting;
    for (const Lane& lane : lanes_) {
      for (const JobPtr& job : lane.queue) {
        if (job->observable && (waiting == nullptr || job->id < waiting->id)) waiting = job;
      }
    }
    if (waiting == nullptr) {
      watching_ = false;
      return;
    }
    if (calls_ == seen) {
      while (!waiting->done && running_ == nullptr) runOne(lock, waiting.get());
    }
    seen = calls_;
  }
}

}  // namespace warploom::cudasim
