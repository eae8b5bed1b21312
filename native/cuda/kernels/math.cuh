// The functions of one number that several families use: elementwise operations, epilogues of matmul, their gradients.
#pragma once

namespace warploom::cuda {

// Written so that NaN wins, as in PyTorch.
template <class T>
__device__ inline T minNan(T a, T b) {
  return a != a ? a : (b < a || b != b) ? b : a;
}
template <class T>
__device__ inline T maxNan(T a, T b) {
  return a != a ? a : (b > a || b != b) ? b : a;
}

// A NaN stays one.
template <class T>
__device__ inline T relu(T x) {
  return x <= T(0) ? T(0) : x;
}
__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// x Phi(x). For x > 0 from the upper tail, so that nothing cancels; where that is 0, infinity must not meet it.
// -infinity does, and gives NaN as in PyTorch.
__device__ inline float gelu(float x) {
  const float tail = normcdff(-fabsf(x));
  return x > 0.0f ? (tail == 0.0f ? x : x - x * tail) : x * tail;
}
// Phi(x) + x phi(x)
__device__ inline float geluSlope(float x) {
  const float density = 0.3989422804014327f * expf(-0.5f * x * x);
  return normcdff(x) + (density == 0.0f ? 0.0f : x * density);
}

// x (1 + tanh u) / 2 = x / (1 + e^(-2u)) with u = sqrt(2 / pi) (x + 0.044715 x^3).
__device__ inline float geluTanh(float x) {
  const float u = 0.7978845608028654f * (x + 0.044715f * x * x * x);
  const float e = expf(-2.0f * fabsf(u));
  return x * ((x < 0.0f ? e : 1.0f) / (1.0f + e));
}
__device__ inline float geluTanhSlope(float x) {
  const float xx = x * x;
  const float u = 0.7978845608028654f * x * (1.0f + 0.044715f * xx);
  const float t = tanhf(u);
  const float du = 0.7978845608028654f * (1.0f + 3.0f * 0.044715f * xx);
  const float rest = 1.0f - t * t;
  return 0.5f * (1.0f + t) + (rest == 0.0f ? 0.0f : 0.5f * x * rest * du);
}

}  // namespace warploom::cuda
