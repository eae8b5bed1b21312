// From the dtype of a view to the C++ type of its elements. Included inside an instruction-set region, hence without a
// guard. Types that share a kernel are named side by side; `bool` stands for DType::boolean, whose elements are bytes.

template <class T>
struct OfType;
#define WL_OF_TYPE(T, name, E)                  \
  template <>                                   \
  struct OfType<T> {                            \
    static constexpr DType dtype = DType::name; \
    using element = E;                          \
  };
WL_OF_TYPE(float, float32, float)
WL_OF_TYPE(double, float64, double)
WL_OF_TYPE(int32_t, int32, int32_t)
WL_OF_TYPE(int64_t, int64, int64_t)
WL_OF_TYPE(uint8_t, uint8, uint8_t)
WL_OF_TYPE(bool, boolean, uint8_t)
#undef WL_OF_TYPE

// Calls run with a zero of the elements of `dtype` where that is one of Ts; false where it is none.
template <class... Ts, class Run>
bool withType(DType dtype, Run run) {
  return (... || (dtype == OfType<Ts>::dtype && (run(typename OfType<Ts>::element{}), true)));
}

// The same for an op that fails where it is none. Needs operands.h.
template <class... Ts, class Run>
void runTyped(Context& context, const char* op, DType dtype, Run run) {
  if (!withType<Ts...>(dtype, run)) unsupported(context, op, dtype);
}
