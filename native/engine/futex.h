// Parking on a 32-bit word, straight on the kernel's futex: std::condition_variable would raise the package's floor of
// libstdc++ symbol versions for no gain.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace warploom {

// Sleeps while *word == expected, at most for so many nanoseconds (below a second) where any are given. May return
// early; the caller checks its condition again.
inline void futexWait(std::atomic<uint32_t>* word, uint32_t expected, long nanoseconds = 0) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t), "a futex is a plain 32-bit word");
  const timespec limit = {0, nanoseconds};
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAIT_PRIVATE, expected,
          nanoseconds > 0 ? &limit : nullptr, nullptr, 0);
}

inline void futexWake(std::atomic<uint32_t>* word, int count = INT_MAX) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

// Between two looks at a word that another thread is about to write.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace warploom
