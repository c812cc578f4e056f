// What the benchmarks of single kernels share.
#pragma once
#include <algorithm>
#include <functional>
#include <string>

#include "core/base/clock.h"
#include "core/base/device.h"
#include "core/ops.h"
#include "kernels/kernel.h"
#include "train/bench_kernels.h"

namespace hinoki {

// Arrays to run kernels on, and the time that a kernel takes.
class KernelBench {
 public:
  // `seconds` of one round of measuring; `only`: kernels whose name contains it.
  KernelBench(Device device, double seconds, KernelSpeeds& to, std::string only = "")
      : device_(device), seconds_(seconds), to_(to), only_(std::move(only)) {}

  // Values around zero, of a short period: the time does not depend on them.
  Tensor random(const Shape& shape, DType dtype) const {
    const int64_t period = 65537;
    Tensor block = empty({std::min(period, shape.numel())}, DType::f32);
    uint32_t x = 1;
    for (int64_t i = 0; i < block.numel(); ++i)
      block.as<float>()[i] = float((x = x * 1664525 + 1013904223) >> 8) * 0x1p-24f - 0.5f;
    block = to_device(dtype == DType::f32 ? block : cast(block, dtype), device_);
    const Tensor all = empty(shape, dtype, device_), flat = all.view({shape.numel()});
    for (int64_t at = 0; at < flat.numel(); at += period) {
      const int64_t count = std::min(period, flat.numel() - at);
      copy_elements(block.narrow(0, 0, count), flat.narrow(0, at, count));
    }
    return all;
  }
  Tensor ids(int64_t count, int64_t below) const {
    Tensor ids = empty({count}, DType::i32);
    for (int64_t i = 0; i < count; ++i) ids.as<int32_t>()[i] = int32_t(i * 7919 % below);
    return to_device(ids, device_);
  }
  bool on_gpu() const { return device_ == Device::cuda; }
  Tensor room(const Shape& shape, DType dtype) const { return zeros(shape, dtype, device_); }

  double seconds_of(const std::function<void()>& run) const {
    run();  // makes plans, scratch and tables
    double best = round(1, run);
    const auto repeats = std::clamp<int64_t>(int64_t(seconds_ / std::max(best, 1e-7)), 1, 10000);
    for (int i = 0; i < 4; ++i) best = std::min(best, round(repeats, run));
    return best;
  }

  // A kernel that this build lacks is left out; the coverage test says which those may be.
  template <class Args>
  void measure(const std::string& name, const kernels::Kernel<Args>& kernel, const Args& args, DType dtype,
               double bytes, double flops = 0) {
    if (name.find(only_) == std::string::npos) return;
    if (device_ == Device::cuda && !kernel.record()->on_cuda) return;
    to_.kernels.push_back({name, dtype, seconds_of([&] { kernel.run(device_, {}, args); }), bytes, flops});
  }

 private:
  double round(int64_t repeats, const std::function<void()>& run) const {
    wait();
    const double begin = steady_seconds();
    for (int64_t i = 0; i < repeats; ++i) run();
    wait();
    return (steady_seconds() - begin) / double(repeats);
  }
  void wait() const {
    if (device_ != Device::cpu) device_table(device_).synchronize({});
  }

  Device device_;
  double seconds_;
  KernelSpeeds& to_;
  std::string only_;
};

}  // namespace hinoki
