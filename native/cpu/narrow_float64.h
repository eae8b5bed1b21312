// Ops whose float64 is computed by AVX2 where the machine has AVX-512: large templates that hardly anyone trains with,
// which would be a twelfth of the addon.

#if WL_ISA_LEVEL == 2
#define WL_FLOAT64_ISA avx2
#else
#define WL_FLOAT64_ISA WL_ISA
#endif

// run(T) for a float dtype, where T of float64 is compiled; else narrower(), the same op of WL_FLOAT64_ISA. False for
// every other dtype.
template <class Run, class Narrower>
bool eachFloat(DType dtype, Run run, Narrower narrower) {
  if (dtype == DType::float32) {
    run(float{});
    return true;
  }
  if (dtype != DType::float64) return false;
  if constexpr (WL_ISA_LEVEL < 2) {
    run(double{});
  } else {
    narrower();
  }
  return true;
}
