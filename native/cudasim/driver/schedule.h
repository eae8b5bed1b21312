// Jobs and when they run. Every stream owns a lane; each job carries a vector clock that says which jobs of which lanes
// come before it. Nothing runs before somebody waits for it (or asks often enough, or the queue is full); then any
// order that the clocks allow may be picked, by the seed. The same clocks tell, after the fact, whether two jobs that
// touched the same bytes were ordered at all.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "cudasim/executor.h"

namespace warploom::cudasim {

using Lock = std::unique_lock<std::mutex>;
using Clock = std::vector<uint64_t>;  // by lane: that lane's jobs up to this tick come before
void join(Clock& into, const Clock& other);

struct Device;
struct Job;
using JobPtr = std::shared_ptr<Job>;

// What a job did, told after it ran without the lock.
struct Outcome {
  int status = 0;
  std::vector<Touched> touched;
  std::vector<Finding> findings;
};

struct Job {
  uint64_t id = 0;
  uint32_t lane = 0;
  uint64_t tick = 0;
  Clock clock;
  std::vector<JobPtr> after;  // jobs that must be done first
  bool done = false;
  bool observable = false;  // runs host code, which the program may notice without any call
  Device* device = nullptr;
  std::string what;                  // "kernel saxpy", "copy"
  std::vector<Touched> declared;     // what is known to be touched before it runs: for the poison of host targets
  std::function<Outcome()> perform;  // empty: a mark in the stream
};

class Schedule {
 public:
  Schedule(std::mutex& mutex, const Settings& settings);

  uint32_t takeLane();
  void releaseLane(uint32_t lane);
  // Queues a job behind `after` and the last job of its lane. Runs old jobs first when the queue is full.
  void enqueue(Lock& lock, const JobPtr& job);
  // Runs what `target` needs (and, by the seed, more) until it is done; the program then knows that it is.
  void wait(Lock& lock, const JobPtr& target);
  // What a query does: says whether the job is done, and moves the work on by one job.
  bool poll(Lock& lock, const JobPtr& target);
  void drain(Lock& lock, const Device* device);
  bool touchesPending(uint64_t address, uint64_t bytes) const;
  uint64_t pendingCount() const { return pending_; }
  const Clock& hostClock() const { return host_; }

  // Called with the lock held, after each job with an outcome that is not plain success.
  std::function<void(const Job&, const Outcome&)> onOutcome;
  bool severalLanes() const { return lanesUsed_ > 1; }

 private:
  struct Lane {
    std::deque<JobPtr> queue;
    uint64_t tick = 0;
    bool inUse = false, used = false;
  };
  struct Access {
    Touched range;
    uint32_t lane;
    uint64_t tick;
    std::string what;
  };

  bool runOne(Lock& lock, const Job* target);
  JobPtr pick(const Job* target);
  bool ready(const Job& job) const;
  void check(const Job& job, Outcome& outcome);
  void forget();
  void watch();

  std::mutex& mutex_;
  const Settings& settings_;
  std::condition_variable changed_;
  std::vector<Lane> lanes_;
  std::vector<Access> accesses_;
  Clock host_;
  std::mt19937_64 random_;
  const Job* running_ = nullptr;
  uint64_t ids_ = 0, pending_ = 0, calls_ = 0, sinceForget_ = 0;
  std::atomic<uint32_t> lanesUsed_{0};
  bool watching_ = false;
};

}  // namespace warploom::cudasim
