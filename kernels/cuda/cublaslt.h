// cuBLASLt, or its twin where there is no CUDA.
#pragma once
#if defined(__CUDACC__)
#include <cublasLt.h>
#else
#include "kernels/simt/cublaslt.h"
#endif
