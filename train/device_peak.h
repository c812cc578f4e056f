// What the device of a run reaches at most, which the share in the progress lines is taken of.
#pragma once
#include "train/run_config.h"

namespace hinoki {

// A GPU on which that is unknown is measured, which takes seconds and some hundred MiB of its memory: to be called
// before there is a model. An emulated GPU has no speed of its own, and stays unknown.
void learn_device_peak(const RunConfig& config);

// In GFLOP/s, of one device: multiply-adds of the CPU, matrix products of the GPU in the run's precision; 0: unknown.
double device_peak_gflops(const RunConfig& config);

}  // namespace hinoki
