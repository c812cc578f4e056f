// Times the kernels of a speech encoder: HuBERT's seven convolutions, its group norm and its positional convolution.
#pragma once
#include "train/kernel_bench.h"

namespace hinoki {

// On 4 x 4 s of sound. `tiny`: sizes for a test.
void measure_convolutions(KernelBench& bench, DType dtype, bool tiny);

}  // namespace hinoki
