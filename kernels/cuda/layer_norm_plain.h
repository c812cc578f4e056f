// Layer normalization of rows of any length and alignment, which reads each row up to three times (from the cache,
// mostly).
#pragma once
#include "kernels/cuda/numbers.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/visit.h"
#include "kernels/layer_norm.h"

namespace hinoki::kernels {

constexpr int kPlainThreads = 256;

template <class T>
struct NormArrays {
  const T *x, *delta, *delta2, *weight, *bias;
  T *sum, *y;
  float *mean, *rstd;
  int64_t rows;
  int cols;
  float eps;

  explicit NormArrays(const LayerNorm& k)
      : x(static_cast<const T*>(k.x)),
        delta(static_cast<const T*>(k.delta)),
        delta2(static_cast<const T*>(k.delta2)),
        weight(static_cast<const T*>(k.weight)),
        bias(static_cast<const T*>(k.bias)),
        sum(static_cast<T*>(k.sum)),
        y(static_cast<T*>(k.y)),
        mean(static_cast<float*>(k.mean)),
        rstd(static_cast<float*>(k.rstd)),
        rows(k.rows),
        cols(int(k.cols)),
        eps(float(k.eps)) {}
};

template <class T>
struct NormGradArrays {
  const T *dy, *s, *weight, *dsum;
  const float *mean, *rstd;
  T* dx;
  float* partials = nullptr;  // [blocks, 2, cols]: dweight and dbias of each block's rows; null: not wanted
  int64_t rows, rows_of_block = 1;
  int cols;

  explicit NormGradArrays(const LayerNormGrad& k)
      : dy(static_cast<const T*>(k.dy)),
        s(static_cast<const T*>(k.s)),
        weight(static_cast<const T*>(k.weight)),
        dsum(static_cast<const T*>(k.dsum)),
        mean(static_cast<const float*>(k.mean)),
        rstd(static_cast<const float*>(k.rstd)),
        dx(static_cast<T*>(k.dx)),
        rows(k.rows),
        cols(int(k.cols)) {}
};

// A block for each row.
template <class T>
__global__ void __launch_bounds__(kPlainThreads) normalize_plain(NormArrays<T> a) {
  const int64_t start = int64_t{blockIdx.x} * a.cols;
  const int step = int(blockDim.x);
  float sum = 0;
  for (int c = int(threadIdx.x); c < a.cols; c += step) {
    float v = widen(a.x[start + c]);
    if (a.delta != nullptr) v += widen(a.delta[start + c]);
    if (a.delta2 != nullptr) v += widen(a.delta2[start + c]);
    if (a.sum != nullptr) {
      a.sum[start + c] = narrow<T>(v);
      v = widen(narrow<T>(v));
    }
    sum += v;
  }
  const T* s = (a.sum != nullptr ? a.sum : a.x) + start;  // where a thread reads only what it wrote itself
  const float mean = block_sum(sum) / float(a.cols);
  float squares = 0;
  for (int c = int(threadIdx.x); c < a.cols; c += step) squares += (widen(s[c]) - mean) * (widen(s[c]) - mean);
  const float rstd = 1 / sqrtf(block_sum(squares) / float(a.cols) + a.eps);
  for (int c = int(threadIdx.x); c < a.cols; c += step) {
    const float bias = a.bias != nullptr ? widen(a.bias[c]) : 0;
    a.y[start + c] = narrow<T>((widen(s[c]) - mean) * rstd * widen(a.weight[c]) + bias);
  }
  if (threadIdx.x == 0) {
    a.mean[blockIdx.x] = mean;
    a.rstd[blockIdx.x] = rstd;
  }
}

// A block for each row of dx.
template <class T>
__global__ void __launch_bounds__(kPlainThreads) dx_plain(NormGradArrays<T> a) {
  const int64_t start = int64_t{blockIdx.x} * a.cols;
  const float mean = a.mean[blockIdx.x], rstd = a.rstd[blockIdx.x];
  float sums[2] = {0, 0};  // of g and g h
  for (int c = int(threadIdx.x); c < a.cols; c += int(blockDim.x)) {
    const float g = widen(a.dy[start + c]) * widen(a.weight[c]);
    sums[0] += g;
    sums[1] += g * (widen(a.s[start + c]) - mean) * rstd;
  }
  block_sum(sums);
  const float avg_g = sums[0] / float(a.cols), avg_gh = sums[1] / float(a.cols);
  for (int c = int(threadIdx.x); c < a.cols; c += int(blockDim.x)) {
    const float g = widen(a.dy[start + c]) * widen(a.weight[c]), h = (widen(a.s[start + c]) - mean) * rstd;
    const float dsum = a.dsum != nullptr ? widen(a.dsum[start + c]) : 0;
    a.dx[start + c] = narrow<T>(rstd * (g - avg_g - h * avg_gh) + dsum);
  }
}

// A block for 32 columns of a group of rows: thread (lane, warp) takes column `lane` of every eighth row.
template <class T>
__global__ void __launch_bounds__(kPlainThreads) partials_plain(NormGradArrays<T> a) {
  constexpr int kWarps = kPlainThreads / simt::kWarp;
  SHARED(parts, float[2][kWarps][simt::kWarp]);
  const int lane = lane_of_warp(), warp = warp_of_block(), c = int(blockIdx.x) * simt::kWarp + lane;
  const int64_t begin = int64_t{blockIdx.y} * a.rows_of_block, end = min(begin + a.rows_of_block, a.rows);
  float dweight = 0, dbias = 0;
  for (int64_t row = begin + warp; row < end && c < a.cols; row += kWarps) {
    const float dy = widen(a.dy[row * a.cols + c]);
    dweight += dy * (widen(a.s[row * a.cols + c]) - a.mean[row]) * a.rstd[row];
    dbias += dy;
  }
  parts[0][warp][lane] = dweight;
  parts[1][warp][lane] = dbias;
  __syncthreads();
  if (warp >= 2 || c >= a.cols) return;
  float sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += parts[warp][w][lane];
  a.partials[(int64_t{blockIdx.y} * 2 + warp) * a.cols + c] = sum;
}

inline int64_t plain_rows_of_block(int64_t rows) { return std::max<int64_t>(32, (rows + 127) / 128); }

template <class T>
void backward_plain(const NormGradArrays<T>& a, int64_t blocks, Stream stream) {
  // First what reads dy, since dx may be dy.
  if (a.partials != nullptr)
    simt::launch(partials_plain<T>, dim3(unsigned((a.cols + 31) / 32), unsigned(blocks)), kPlainThreads, 0, stream, a);
  simt::launch(dx_plain<T>, unsigned(a.rows), kPlainThreads, 0, stream, a);
}

}  // namespace hinoki::kernels
