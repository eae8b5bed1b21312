// What the convolution kernels are told. Read by g++ and nvcc.
//
// The convolution and the gradient of its input are one computation, a correlation of source planes with weights:
//
//   y[n, o, r, c] = sum over (s, i, j) of source[n, s, line(r) + i tapStepH, line(c) + j tapStepW] weight[o, s, i, j]
//
// in each of `groups`. Forward, the source is x, and a line moves by the stride. Backward it is g, and y (dx) falls
// into strideH x strideW phases: the elements of one phase, rows congruent modulo strideH and columns modulo strideW,
// are reached by the same taps, so that each phase is a correlation of stride 1 with some of the taps, and no zeros are
// multiplied. The source is zero outside of its planes.
//
// The order of every sum is that of gemm_args.h with k = (s, i, j), or (image, row, column) for the gradient of the
// weights; and where blocks share the sum, each adds its `segments` in order, and then these sums are added in order.
#pragma once

#include <cstdint>

#include "cuda/fast_divide.h"
#include "cuda/gemm_args.h"

namespace warploom::cuda {

// One dimension, height or width.
struct ConvAxis {
  int32_t source, out;  // sizes
  int32_t kernel, stride, pad, dilation;
  int32_t phases;  // of y: 1 forward
};

constexpr int kConvDirectTaps = 9;  // of a block of conv_weight_f32_direct

struct ConvArgs {
  const float* source;   // [N, groups * channels, H, W]
  const float* weights;  // forward [groups * outputs, channels, KH, KW], backward [groups * channels, outputs, KH, KW]
  const float* bias;     // [groups * outputs] or null
  float* y;              // [N, groups * outputs, OH, OW]
  float* partials;       // or null: [shares] of y's, which a second launch adds
  ConvAxis h, w;
  int32_t backward;
  int32_t images, groups;
  int32_t channels, outputs;  // of a group
  int32_t segments, shares;   // a block sums so many segments of k; so many blocks share the sums of a tile
  int32_t vectorStore;        // every fourth element of a plane of y is at a multiple of 16 bytes
  int32_t relu;               // of the sum and its bias
};

// dw[o, c, i, j] = sum over (n, r, q) of g[n, o, r, q] x[n, c, r strideH - padH + i dilationH, ...].
struct ConvWeightArgs {
  const float* g;   // [N, groups * outputs, OH, OW]
  const float* x;   // [N, groups * channels, H, W]
  float* dw;        // [groups * outputs, channels, KH, KW]
  float* partials;  // or null: [shares] of dw's
  ConvAxis h, w;
  int32_t images, groups;
  int32_t channels, outputs;    // of a group
  int32_t depth, segment;       // conv_weight_f32_direct: a segment is a block's share
  int32_t segments, shares;     // as above
  int32_t vectorStore;          // every fourth weight of an output channel is at a multiple of 16 bytes
  FastDivide byPlane, byWidth;  // OH * OW, OW
  FastDivide byTaps, byKernel;  // KH * KW, KW
};

// One phase in one dimension: how its lines of y find what they read.
struct ConvPhase {
  int32_t lines;               // rows or columns of y
  int32_t origin, lineStep;    // of the source, for the first tap: origin + line * lineStep
  int32_t taps, tapStep;       // from tap to tap in the source
  int32_t firstTap, tapSkips;  // which of the kernel's taps they are
};

WL_HOST_DEVICE inline ConvPhase convPhase(const ConvAxis& axis, bool backward, int phase) {
  if (!backward) return {axis.out, -axis.pad, axis.stride, axis.kernel, axis.dilation, 0, 1};
  // Tap t of line l * stride + phase reads (l * stride + phase + pad - t * dilation) / stride, where that divides. The
  // taps that do are as far apart as stride over the greatest common divisor.
  int a = axis.dilation, divisor = axis.stride;
  while (a != 0) {
    const int rest = divisor % a;
    divisor = a;
    a = rest;
  }
  ConvPhase p = {};
  p.lines = axis.out > phase ? (axis.out - phase + axis.stride - 1) / axis.stride : 0;
  p.lineStep = 1;
  p.tapStep = -(axis.dilation / divisor);
  p.tapSkips = axis.stride / divisor;
  const int reach = phase + axis.pad;
  const int end = p.tapSkips < axis.kernel ? p.tapSkips : axis.kernel;
  while (p.firstTap < end && (reach - p.firstTap * axis.dilation) % axis.stride != 0) ++p.firstTap;
  if (p.firstTap < end) {
    p.taps = (axis.kernel - p.firstTap + p.tapSkips - 1) / p.tapSkips;
    p.origin = (reach - p.firstTap * axis.dilation) / axis.stride;
  }
  return p;
}

}  // namespace warploom::cuda
