// Compiled, never linked, where a toolkit is installed: every exported signature and struct against cuda.h.
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include <type_traits>

#include "cudasim/driver/abi.h"

namespace warploom::cudasim::check {

template <class T, class = void>
struct SizeOf : std::integral_constant<size_t, 0> {};  // void and incomplete types
template <class T>
struct SizeOf<T, std::void_t<decltype(sizeof(T))>>
    : std::integral_constant<size_t, std::is_function_v<T> || std::is_void_v<T> ? 0 : sizeof(T)> {};

// Two types that travel alike: numbers of one size and class, pointers to things of one size (handles point at
// structs that only their driver knows).
template <class A, class B>
constexpr bool same() {
  if constexpr (std::is_pointer_v<A> && std::is_pointer_v<B>) {
    using P = std::remove_cv_t<std::remove_pointer_t<A>>;
    using Q = std::remove_cv_t<std::remove_pointer_t<B>>;
    if (std::is_const_v<std::remove_pointer_t<A>> != std::is_const_v<std::remove_pointer_t<B>>) return false;
    if constexpr (std::is_pointer_v<P> && std::is_pointer_v<Q>) return true;
    return SizeOf<P>::value == SizeOf<Q>::value;
  } else {
    return sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
           std::is_floating_point_v<A> == std::is_floating_point_v<B> && std::is_class_v<A> == std::is_class_v<B>;
  }
}

template <class A, class B>
struct SameFunction : std::false_type {};
template <class R, class... A, class S, class... B>
struct SameFunction<R (*)(A...), S (*)(B...)> {
  static constexpr bool compare() {
    if constexpr (sizeof...(A) != sizeof...(B)) {
      return false;
    } else {
      return same<R, S>() && (same<A, B>() && ...);
    }
  }
  static constexpr bool value = compare();
};

namespace ours {
using namespace warploom::cudasim::abi;
#define API(since, name, params) using name##_type = abi::CUresult(*) params;
#include "cudasim/driver/api.def"
#undef API
}  // namespace ours

#define API(since, name, params) \
  static_assert(SameFunction<decltype(&::name), ours::name##_type>::value, #name " differs from cuda.h");
#include "cudasim/driver/api.def"
#undef API

#define SAME_STRUCT(ours, theirs) static_assert(sizeof(abi::ours) == sizeof(::theirs), #ours " differs from cuda.h")
#define SAME_FIELD(type, theirs, field) \
  static_assert(offsetof(abi::type, field) == offsetof(::theirs, field), #type "::" #field " differs from cuda.h")
SAME_STRUCT(CUuuid, CUuuid);
SAME_STRUCT(CUDA_MEMCPY2D, CUDA_MEMCPY2D);
SAME_FIELD(CUDA_MEMCPY2D, CUDA_MEMCPY2D, srcPitch);
SAME_FIELD(CUDA_MEMCPY2D, CUDA_MEMCPY2D, dstDevice);
SAME_FIELD(CUDA_MEMCPY2D, CUDA_MEMCPY2D, Height);
SAME_STRUCT(CUDA_MEMCPY3D, CUDA_MEMCPY3D);
SAME_FIELD(CUDA_MEMCPY3D, CUDA_MEMCPY3D, srcDevice);
SAME_FIELD(CUDA_MEMCPY3D, CUDA_MEMCPY3D, srcHeight);
SAME_FIELD(CUDA_MEMCPY3D, CUDA_MEMCPY3D, dstDevice);
SAME_FIELD(CUDA_MEMCPY3D, CUDA_MEMCPY3D, Depth);
SAME_STRUCT(CUDA_KERNEL_NODE_PARAMS, CUDA_KERNEL_NODE_PARAMS_v2);
SAME_FIELD(CUDA_KERNEL_NODE_PARAMS, CUDA_KERNEL_NODE_PARAMS_v2, sharedMemBytes);
SAME_FIELD(CUDA_KERNEL_NODE_PARAMS, CUDA_KERNEL_NODE_PARAMS_v2, extra);
SAME_STRUCT(CUDA_MEMSET_NODE_PARAMS, CUDA_MEMSET_NODE_PARAMS);
SAME_FIELD(CUDA_MEMSET_NODE_PARAMS, CUDA_MEMSET_NODE_PARAMS, width);
SAME_STRUCT(CUDA_HOST_NODE_PARAMS, CUDA_HOST_NODE_PARAMS);
SAME_STRUCT(CUgraphEdgeData, CUgraphEdgeData);
SAME_STRUCT(CUgraphExecUpdateResultInfo, CUgraphExecUpdateResultInfo);
SAME_STRUCT(CUDA_GRAPH_INSTANTIATE_PARAMS, CUDA_GRAPH_INSTANTIATE_PARAMS);
SAME_STRUCT(CUlaunchAttribute, CUlaunchAttribute);
SAME_FIELD(CUlaunchAttribute, CUlaunchAttribute, value);
SAME_STRUCT(CUlaunchConfig, CUlaunchConfig);
SAME_FIELD(CUlaunchConfig, CUlaunchConfig, hStream);
SAME_STRUCT(CUmemLocation, CUmemLocation);
SAME_STRUCT(CUmemAllocationProp, CUmemAllocationProp);
SAME_STRUCT(CUmemAccessDesc, CUmemAccessDesc);
SAME_STRUCT(CUmemPoolProps, CUmemPoolProps);

}  // namespace warploom::cudasim::check
