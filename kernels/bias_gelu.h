// GELU after a bias, in one pass; and the sum over rows that is any bias's gradient.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

enum class GeluForm : uint8_t { erf, tanh };  // x Phi(x), or its approximation by tanh (kernels/unary.h)

// Arrays are row-major [rows, cols]. The gradient of the bias is in wide(dtype), and summed in it.
struct BiasGelu {
  const void *x, *bias = nullptr;  // [cols]; a null bias counts as 0
  void* y;                         // gelu(x + bias); overwritten; may be x
  int64_t rows, cols;
  GeluForm form = GeluForm::erf;
  DType dtype;
};

struct BiasGeluGrad {
  const void *dy, *x, *bias = nullptr;
  void* dx;               // dy * gelu'(x + bias); overwritten; may be dy, or x if y is not
  void* y = nullptr;      // gelu(x + bias) once more, of the same exponential; overwritten; may be x; null: not wanted
  void* dbias = nullptr;  // [cols], sum over rows of dx; null: not wanted
  bool accumulate = false;  // dbias: true adds to what is there, false overwrites
  int64_t rows, cols;
  GeluForm form = GeluForm::erf;
  DType dtype;
};

inline Kernel<BiasGelu> bias_gelu{"bias_gelu"};
inline Kernel<BiasGeluGrad> bias_gelu_grad{"bias_gelu_grad"};

}  // namespace hinoki::kernels
