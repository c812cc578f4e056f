#include "train/device_peak.h"

#include "core/base/device.h"
#include "core/storage.h"
#include "train/bench_kernels.h"
#include "train/machine.h"

namespace hinoki {
namespace {

double measure(Precision precision) {
  double gflops = 0;
  try {
    gflops = measure_product_peak(Device::cuda, precision == Precision::bf16 ? DType::bf16 : DType::f32) * 1e-9;
  } catch (const OutOfMemory&) {  // somebody else has it: unknown
  }
  release_cached_memory(Device::cuda);
  reset_peak_memory(Device::cuda);
  return gflops;
}

double peak_of_gpu(Precision precision, bool may_measure) {
  const DeviceTable& gpu = device_table(Device::cuda);
  const bool emulated = gpu.forget != nullptr;
  return product_peak_gflops(gpu.name, enum_names(precision)[size_t(precision)],
                             [&] { return may_measure && !emulated ? measure(precision) : 0; });
}

}  // namespace

void learn_device_peak(const RunConfig& config) {
  if (config.device == Device::cuda) peak_of_gpu(config.precision, true);
}

double device_peak_gflops(const RunConfig& config) {
  return config.device == Device::cuda ? peak_of_gpu(config.precision, false) : machine_figures().fma_gflops;
}

}  // namespace hinoki
