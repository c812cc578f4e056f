// Functions of one value, applied to arrays: y = f(x) and dx = dy f'(x). A function is a tag in UnaryOps; its value and
// slope stand in unary.cpp.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

struct Unary {
  const void* x;
  void* y;  // overwritten; may be x
  int64_t count;
  DType dtype;
};

struct UnaryGrad {
  const void *dy, *x;
  void* dx;  // overwritten; may be dy or x
  int64_t count;
  DType dtype;
};

// clang-format off
struct Exp      { static constexpr const char* name = "exp"; };
struct Log      { static constexpr const char* name = "log"; };
struct Erf      { static constexpr const char* name = "erf"; };
struct Tanh     { static constexpr const char* name = "tanh"; };
struct Gelu     { static constexpr const char* name = "gelu"; };       // x (1 + erf(x / sqrt(2))) / 2
struct GeluTanh { static constexpr const char* name = "gelu_tanh"; };  // its tanh form, kernels/cpu/math.h
// clang-format on

template <class... Ops>
struct List {};
using UnaryOps = List<Exp, Log, Erf, Tanh, Gelu, GeluTanh>;

template <class Op>
inline Kernel<Unary> unary{Op::name};
template <class Op>
inline Kernel<UnaryGrad> unary_grad{Op::name};

}  // namespace hinoki::kernels
