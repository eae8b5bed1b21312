// Which kernels compute a convolution and its gradients, and why: pure functions of the shape.
#pragma once

#include <cstdint>

namespace warploom::cuda {

// One dimension, height or width.
struct ConvSide {
  int64_t source, out;  // sizes: of x and y; for the gradient of x, of g and dx
  int64_t kernel, stride, pad, dilation;
};

struct ConvShape {
  int64_t images, groups;
  int64_t channels, outputs;  // of a group: of the source, of the result; for the gradient of w, of x and of g
  ConvSide h, w;
};

struct ConvChoice {
  const char* entry;   // null: a thread owns an element (conv_simple.cu)
  const char* family;  // of the entry
  const char* reason;  // for people
  bool wide;           // only where a thread owns an element: positions take 64 bits
  int rows, cols;      // of a tile
  int threads;
  int64_t blocks;
  int64_t segment;       // k's of a segment
  int64_t segments;      // that a block sums, one after the other
  int64_t shares;        // blocks that share a tile's sum: above 1, a second launch adds their sums
  int64_t partialBytes;  // what these take
};

// y, or with `backward` dx.
ConvChoice chooseConv(const ConvShape& shape, bool backward);
// dw.
ConvChoice chooseConvWeight(const ConvShape& shape);

}  // namespace warploom::cuda
