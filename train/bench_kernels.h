// Times the kernels of a device one by one on the sizes of a 1.3B model's layer, and what the device reaches at most: a
// copy of large arrays, and the best of several large products.
#pragma once
#include <string>
#include <vector>

#include "core/base/dtype.h"

namespace hinoki {

struct KernelSpeed {
  std::string name;
  DType dtype;
  double seconds;  // the best of several rounds
  double bytes;    // that must be read and written, counted once each
  double flops;    // 0 where the time goes into memory
};

struct KernelSpeeds {
  double copy_bytes_per_second = 0, flops_per_second = 0;  // the ceilings
  std::vector<KernelSpeed> kernels;
};

// The best rate of several large products, in FLOP/s: what a step's share of the peak refers to on a GPU.
double measure_product_peak(Device device, DType dtype);

// `tiny`: sizes for a test, whose figures say nothing. `only`: kernels whose name contains it.
KernelSpeeds bench_kernels(Device device, bool tiny, const std::string& only = "");

}  // namespace hinoki
