// Normalisation of channels over time and over the channels of their group, with a weight and a bias for each channel.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// Rows of the batch have `time` frames, of which the first lengths[b] count (null: all; others are cut to 0 .. time).
struct GroupNormShape {
  int64_t batch, time, channels, groups;
  const int32_t* lengths = nullptr;  // [batch]
  DType dtype;
};

// y = (x - mean) * rstd * weight + bias where a frame counts, else 0; mean and 1 / sqrt(variance + eps) of row and
// group
struct GroupNorm {
  GroupNormShape shape;
  const void *x, *weight, *bias;  // [batch, time, channels], [channels] twice
  void* y;                        // overwritten
  void *mean, *rstd;              // [batch, groups] in wide(dtype), overwritten
  double eps;
};

// dx = rstd * (dy weight - avg(dy weight) - h avg(dy weight h)), with h = (x - mean) rstd and averages over the frames
// that count of the group's channels; 0 in other frames. dweight = sum of dy h, dbias of dy, in a fixed order.
struct GroupNormGrad {
  GroupNormShape shape;
  const void *dy, *x, *weight, *mean, *rstd;
  void* dx;                 // overwritten; may be dy
  void *dweight, *dbias;    // [channels] in wide(dtype); null: not wanted
  bool accumulate = false;  // both: true adds to what is there, false overwrites
};

inline Kernel<GroupNorm> group_norm{"group_norm"};
inline Kernel<GroupNormGrad> group_norm_grad{"group_norm_grad"};

}  // namespace hinoki::kernels
