// Compiled, never linked, where a toolkit is installed: the hand-written declarations of driver.h and driver.def
// against cuda.h, argument by argument.
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include <cstddef>
#include <type_traits>

#include "cuda/driver.h"

namespace warploom::cuda::check {

template <class T, class = void>
struct SizeOf : std::integral_constant<std::size_t, 0> {};  // void and incomplete types
template <class T>
struct SizeOf<T, std::void_t<decltype(sizeof(T))>>
    : std::integral_constant<std::size_t, std::is_function_v<T> || std::is_void_v<T> ? 0 : sizeof(T)> {};

// Two types that travel alike: numbers of one size and class; pointers to things of one size and constness (handles
// point at structs that only the driver knows).
template <class A, class B>
constexpr bool alike() {
  if constexpr (std::is_pointer_v<A> && std::is_pointer_v<B>) {
    using P = std::remove_pointer_t<A>;
    using Q = std::remove_pointer_t<B>;
    if (std::is_const_v<P> != std::is_const_v<Q>) return false;
    if constexpr (std::is_pointer_v<P> && std::is_pointer_v<Q>) return true;
    return SizeOf<std::remove_cv_t<P>>::value == SizeOf<std::remove_cv_t<Q>>::value;
  } else {
    return sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
           std::is_floating_point_v<A> == std::is_floating_point_v<B> && std::is_class_v<A> == std::is_class_v<B>;
  }
}
template <class... A>
struct Types {};
template <class A, class B>
struct Signature;
template <class R, class... A, class S, class... B>
struct Signature<R (*)(A...), S (*)(B...)> {
  template <class... P, class... Q>
  static constexpr bool compare(Types<P...>, Types<Q...>) {
    if constexpr (sizeof...(P) != sizeof...(Q)) {
      return false;
    } else {
      return (alike<P, Q>() && ...);
    }
  }
  static constexpr bool value = alike<R, S>() && compare(Types<A...>(), Types<B...>());
};

#define WL_CU(member, symbol, parameters)                                                \
  static_assert(Signature<decltype(&::symbol), decltype(abi::Functions::member)>::value, \
                #symbol " differs from cuda.h");
#include "cuda/driver.def"
#undef WL_CU

#define WL_STRUCT(name) static_assert(sizeof(abi::name) == sizeof(::name), #name " differs from cuda.h")
#define WL_FIELD(name, field) \
  static_assert(offsetof(abi::name, field) == offsetof(::name, field), #name "::" #field " differs from cuda.h")
WL_STRUCT(CUmemPoolProps);
WL_FIELD(CUmemPoolProps, maxSize);
WL_FIELD(CUmemPoolProps, usage);
WL_STRUCT(CUmemAccessDesc);
WL_STRUCT(CUDA_MEMSET_NODE_PARAMS);
WL_FIELD(CUDA_MEMSET_NODE_PARAMS, width);
WL_STRUCT(CUDA_MEMCPY3D);
WL_FIELD(CUDA_MEMCPY3D, srcDevice);
WL_FIELD(CUDA_MEMCPY3D, dstHost);
WL_FIELD(CUDA_MEMCPY3D, WidthInBytes);
static_assert(sizeof(abi::CUDA_KERNEL_NODE_PARAMS) == sizeof(::CUDA_KERNEL_NODE_PARAMS_v2), "CUDA_KERNEL_NODE_PARAMS");
static_assert(offsetof(abi::CUDA_KERNEL_NODE_PARAMS, kernelParams) ==
                  offsetof(::CUDA_KERNEL_NODE_PARAMS_v2, kernelParams),
              "CUDA_KERNEL_NODE_PARAMS::kernelParams");

#define WL_VALUE(name) \
  static_assert(static_cast<int>(abi::name) == static_cast<int>(::name), #name " differs from cuda.h")
WL_VALUE(CUDA_ERROR_OUT_OF_MEMORY);
WL_VALUE(CUDA_ERROR_NO_DEVICE);
WL_VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
WL_VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
WL_VALUE(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
WL_VALUE(CU_JIT_ERROR_LOG_BUFFER);
WL_VALUE(CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
WL_VALUE(CU_MEM_ALLOCATION_TYPE_PINNED);
WL_VALUE(CU_MEM_LOCATION_TYPE_DEVICE);
WL_VALUE(CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
WL_VALUE(CU_MEMORYTYPE_HOST);
WL_VALUE(CU_MEMORYTYPE_DEVICE);
WL_VALUE(CU_STREAM_NON_BLOCKING);
WL_VALUE(CU_EVENT_BLOCKING_SYNC);
WL_VALUE(CU_EVENT_DISABLE_TIMING);

}  // namespace warploom::cuda::check
