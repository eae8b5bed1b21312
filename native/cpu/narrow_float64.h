// Ops whose float64 is computed by AVX2 where the machine has AVX-512, convolution and attention: large templates that
// hardly anyone trains with, which would be a twelfth of the addon.

// Calls run(T{}) for a float dtype where T is compiled here, else narrower(args...): the same function of
// WL_FLOAT64_ISA. Returns what that returns; for every other dtype calls nothing and returns 0.
template <class Run, class Narrower, class... Args>
auto withFloat(DType dtype, Run run, [[maybe_unused]] Narrower narrower, Args&... args) -> decltype(run(float{})) {
  if (dtype == DType::float32) return run(float{});
  if (dtype != DType::float64) return decltype(run(float{}))();
  if constexpr (WL_ISA_LEVEL < 2) {
    return run(double{});
  } else {
    return narrower(args...);
  }
}
