// One-dimensional convolution over rows of channels, and its gradients.
//
//   y[b, t, o] = bias[o] + sum over k, c of f(x[b, t * stride + k - pad_left, c]) * weight[o, c, k]
//
// with f the identity or GELU in its erf form, zeros where x has no frame, and c over the channels of o's group. The
// sums are in a fixed order: the bits of a row of the batch depend neither on the number of threads nor on other rows.
#pragma once
#include <algorithm>

#include "kernels/kernel.h"

namespace hinoki::kernels {

struct Conv1dShape {
  int64_t batch, time, in;     // x [batch, time, in]
  int64_t frames, out;         // y [batch, frames, out]
  int64_t kernel, groups = 1;  // weight [out, in / groups, kernel]
  int64_t stride = 1, pad_left = 0;
  bool gelu_input = false;
  DType dtype;
};

// On CUDA windows of x are written out, for some rows of the batch and one group at a time: as many as have this many
// elements, or one row. The caller brings room for them. On the CPU no room is needed.
inline int64_t conv1d_room_limit = int64_t{1} << 26;  // tests lower it

inline int64_t conv1d_rows_at_a_time(const Conv1dShape& s) {
  const int64_t of_row = std::max<int64_t>(1, s.frames * s.kernel * (s.in / s.groups));
  return std::clamp<int64_t>(conv1d_room_limit / of_row, 1, std::max<int64_t>(1, s.batch));
}
inline int64_t conv1d_room(const Conv1dShape& s) {
  return conv1d_rows_at_a_time(s) * s.frames * s.kernel * (s.in / s.groups);
}

struct Conv1d {
  Conv1dShape shape;
  const void *x, *weight, *bias = nullptr;  // [out]; a null bias counts as 0
  void* y;                                  // overwritten
  void* room = nullptr;                     // on CUDA, of dtype
};

struct Conv1dGradInput {
  Conv1dShape shape;
  const void *dy, *weight;
  const void* x;         // read with gelu_input only
  void* dx;              // overwritten
  void* room = nullptr;  // on CUDA, of f32
};

struct Conv1dGradWeight {
  Conv1dShape shape;
  const void *dy, *x;
  void* dweight;            // in wide(dtype)
  bool accumulate = false;  // true adds to what dweight holds, false overwrites
  void* room = nullptr;     // on CUDA, of dtype
};

inline Kernel<Conv1d> conv1d{"conv1d"};
inline Kernel<Conv1dGradInput> conv1d_grad_input{"conv1d_grad_input"};
inline Kernel<Conv1dGradWeight> conv1d_grad_weight{"conv1d_grad_weight"};

}  // namespace hinoki::kernels
