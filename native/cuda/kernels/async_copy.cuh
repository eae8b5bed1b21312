// Copies from global to shared memory that run beside the arithmetic (PTX ISA, "cp.async", sm_80 and newer).
#pragma once

#include <cstdint>

namespace warploom::cuda {

// 4 bytes, or 16 where both addresses are multiples of 16. What arrives may be read by this thread after waitCopies, by
// the block after a barrier that follows it.
template <int kBytes>
__device__ inline void copyAsync(float* shared, const float* global) {
  static_assert(kBytes == 4 || kBytes == 16, "the sizes in use");
  const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  if (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(global) : "memory");
  }
}

// The same, or zeros where `global` is null: then nothing is read. One instruction for all lanes of a warp.
template <int kBytes = 4>
__device__ inline void copyAsyncOrZero(float* shared, const float* global) {
  static_assert(kBytes == 4 || kBytes == 16, "the sizes in use");
  const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  const uint32_t bytes = global != nullptr ? kBytes : 0;
  if (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
  }
}

// 4 bytes from base + offset * 4 to `shared` + kShift, or zeros where `have` lacks a bit of `want`: then nothing is
// read, and the address may be any. Few instructions, for copies of which a thread makes many.
template <int kShift>
__device__ inline void copyAsyncWhere(uint32_t shared, const float* base, int offset, uint32_t have, uint32_t want) {
  asm volatile(
      "{\n\t"
      ".reg .pred none;\n\t"
      ".reg .b32 both;\n\t"
      ".reg .b64 from;\n\t"
      "mad.wide.s32 from, %2, 4, %1;\n\t"
      "and.b32 both, %3, %4;\n\t"
      "setp.ne.b32 none, both, %4;\n\t"
      "cp.async.ca.shared.global [%0 + %5], [from], 4, none;\n\t"
      "}" ::"r"(shared),
      "l"(base), "r"(offset), "r"(have), "r"(want), "n"(kShift)
      : "memory");
}

__device__ inline uint32_t sharedAddress(const float* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// Closes a group of copies; an empty one counts too.
__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until all but the last `kPending` groups of this thread have arrived.
template <int kPending>
__device__ inline void waitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace warploom::cuda
