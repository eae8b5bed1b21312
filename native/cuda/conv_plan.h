// From a shape and what was chosen for it to what the kernels are told; addresses are left to the caller. For shapes
// that take tiles: every number fits 32 bits.
#pragma once

#include <algorithm>

#include "cuda/conv_args.h"
#include "cuda/conv_choose.h"

namespace warploom::cuda {

// How many phases the result has along one dimension.
inline int64_t convPhases(const ConvSide& side, bool backward) {
  return backward ? std::max<int64_t>(1, std::min(side.stride, side.out)) : 1;
}

inline ConvAxis convAxis(const ConvSide& side, bool backward) {
  const auto narrow = [](int64_t value) { return static_cast<int32_t>(value); };
  return {narrow(side.source),
          narrow(side.out),
          narrow(side.kernel),
          narrow(side.stride),
          narrow(side.pad),
          narrow(side.dilation),
          narrow(convPhases(side, backward))};
}

template <class Args>
inline Args convCommon(const ConvShape& s, const ConvChoice& choice, bool backward) {
  Args args = {};
  args.h = convAxis(s.h, backward);
  args.w = convAxis(s.w, backward);
  args.images = static_cast<int32_t>(s.images);
  args.groups = static_cast<int32_t>(s.groups);
  args.channels = static_cast<int32_t>(s.channels);
  args.outputs = static_cast<int32_t>(s.outputs);
  args.segments = static_cast<int32_t>(choice.segments);
  args.shares = static_cast<int32_t>(choice.shares);
  return args;
}

// `aligned`: what is stored, y or partial sums, begins at a multiple of 16 bytes.
inline ConvArgs convArgs(const ConvShape& s, const ConvChoice& choice, bool backward, bool aligned) {
  auto args = convCommon<ConvArgs>(s, choice, backward);
  args.backward = backward;
  args.vectorStore = aligned && args.h.phases * args.w.phases == 1 && s.h.out * s.w.out % 4 == 0;
  return args;
}

inline ConvWeightArgs convWeightArgs(const ConvShape& s, const ConvChoice& choice, bool aligned) {
  auto args = convCommon<ConvWeightArgs>(s, choice, false);
  args.depth = args.images * args.h.out * args.w.out;
  args.segment = static_cast<int32_t>(choice.segment);
  args.vectorStore = aligned && s.channels * s.h.kernel * s.w.kernel % 4 == 0;
  args.byPlane = fastDivide(args.h.out * args.w.out);
  args.byWidth = fastDivide(args.w.out);
  args.byTaps = fastDivide(args.h.kernel * args.w.kernel);
  args.byKernel = fastDivide(args.w.kernel);
  return args;
}

}  // namespace warploom::cuda
