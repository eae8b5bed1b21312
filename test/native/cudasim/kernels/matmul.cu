// C = A B of float32 with a 128 x 128 tile a block, 8 x 8 a thread. Sizes are multiples of the tile; 256 threads.
extern "C" __global__ void __launch_bounds__(256)
    matmul128(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int n, int k) {
  __shared__ float as[8][128], bs[8][128];
  const int t = threadIdx.x, tx = t % 16, ty = t / 16;
  const float* pa = a + (blockIdx.y * 128 + t / 2) * k + t % 2 * 4;
  const float* pb = b + (t / 32) * n + blockIdx.x * 128 + t % 32 * 4;
  float acc[8][8] = {};
  for (int at = 0; at < k; at += 8) {
    const float4 va = *(const float4*)pa;
    const float4 vb = *(const float4*)pb;
    as[t % 2 * 4 + 0][t / 2] = va.x;
    as[t % 2 * 4 + 1][t / 2] = va.y;
    as[t % 2 * 4 + 2][t / 2] = va.z;
    as[t % 2 * 4 + 3][t / 2] = va.w;
    *(float4*)&bs[t / 32][t % 32 * 4] = vb;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float ra[8], rb[8];
#pragma unroll
      for (int j = 0; j < 8; j += 4) {
        *(float4*)&ra[j] = *(const float4*)&as[i][ty * 8 + j];
        *(float4*)&rb[j] = *(const float4*)&bs[i][tx * 8 + j];
      }
#pragma unroll
      for (int r = 0; r < 8; ++r)
#pragma unroll
        for (int s = 0; s < 8; ++s) acc[r][s] += ra[r] * rb[s];
    }
    __syncthreads();
    pa += 8;
    pb += 8 * n;
  }
#pragma unroll
  for (int r = 0; r < 8; ++r)
#pragma unroll
    for (int s = 0; s < 8; s += 4)
      *(float4*)&c[(blockIdx.y * 128 + ty * 8 + r) * n + blockIdx.x * 128 + tx * 8 + s] =
          make_float4(acc[r][s], acc[r][s + 1], acc[r][s + 2], acc[r][s + 3]);
}
