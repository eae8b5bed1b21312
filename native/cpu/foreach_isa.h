// Compiles the file named by WL_ISA_FILE once per instruction set, each time inside namespace warploom::cpu::<isa> with
// these set:
//   WL_ISA         the namespace: baseline, avx2, avx512
//   WL_ISA_LEVEL   0, 1, 2
//   WL_VECTOR_BYTES  width of the vectors that simd.h offers: 16, 32, 64
//   WL_FLOAT64_ISA   the namespace that computes float64 of the ops of narrow_float64.h: WL_ISA, avx2 at most
// A kernel file looks like this:
//
//   #ifndef WL_ISA
//   #include "cpu/prelude.h"
//   #define WL_ISA_FILE "cpu/softmax.cc"
//   #include "cpu/foreach_isa.h"
//   #else
//   #include "cpu/simd.h"
//   namespace ops { void softmax(const SoftmaxArgs& args, Context& context) { ... } }
//   #endif
//
// The region is `#pragma GCC target`, not a per-file flag: see prelude.h. g++ does not define __AVX512F__ inside it.

#define WL_ISA baseline
#define WL_ISA_LEVEL 0
#define WL_VECTOR_BYTES 16
#define WL_FLOAT64_ISA baseline
namespace warploom::cpu::baseline {
#include WL_ISA_FILE
}
#undef WL_ISA
#undef WL_ISA_LEVEL
#undef WL_VECTOR_BYTES
#undef WL_FLOAT64_ISA

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt")
#define WL_ISA avx2
#define WL_ISA_LEVEL 1
#define WL_VECTOR_BYTES 32
#define WL_FLOAT64_ISA avx2
namespace warploom::cpu::avx2 {
#include WL_ISA_FILE
}
#undef WL_ISA
#undef WL_ISA_LEVEL
#undef WL_VECTOR_BYTES
#undef WL_FLOAT64_ISA
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt,prefer-vector-width=512")
#define WL_ISA avx512
#define WL_ISA_LEVEL 2
#define WL_VECTOR_BYTES 64
#define WL_FLOAT64_ISA avx2
namespace warploom::cpu::avx512 {
#include WL_ISA_FILE
}
#undef WL_ISA
#undef WL_ISA_LEVEL
#undef WL_VECTOR_BYTES
#undef WL_FLOAT64_ISA
#pragma GCC pop_options
#endif
