// The keystone of the tests: is an op what it says, are its gradients derivatives, and are its bits its own?
#pragma once
#include <functional>
#include <vector>

#include "core/autograd.h"

namespace hinoki::test {

using Inputs = std::vector<Tensor>;

// An op with its inputs, in f64. `run` may return several outputs; `reference` computes the same in plain double loops.
struct OpCase {
  Inputs inputs;  // floats become leaves; integers stay as they are
  std::function<std::vector<Tensor>(const Inputs&)> run;
  std::function<std::vector<Tensor>(const Inputs&)> reference;  // optional only where the op is its own definition
};

// Compares <v, f(x + h e)> - <v, f(x - h e)> over 2h with the gradient of <v, f(x)> for a RANDOM v: with v = 1 the
// exact gradient of softmax and of layer_norm is zero, and a backward pass with a term missing would pass. At most
// `probes` elements of each input are probed. Returns the worst error relative to the largest gradient of that input.
double worst_gradient_error(const OpCase& op, int probes = 40);

// Everything at once, as EXPECTs: forward (f64 and f32) against the reference; gradients against finite differences in
// f64, f32 gradients against f64 ones; two runs bitwise equal; 1, 2 and 3 threads bitwise equal; guard bands intact;
// every instruction set of this CPU against the reference. Where the build has a CUDA device (or its emulator): there
// too, in f32 and bf16, outputs and gradients against f64 on the CPU and two runs bitwise equal.
// `length` is the longest sum behind one output element: tolerances are computed from it and epsilon.
void check_op(const OpCase& op, int64_t length);

// Deterministic inputs.
Tensor uniform(const Shape& shape, double low, double high, uint64_t seed, DType dtype = DType::f64);
Tensor integers(const Shape& shape, int64_t low, int64_t high, uint64_t seed);  // i32 in [low, high)
Tensor to(const Tensor& x, DType dtype);  // floats converted, integers as they are

Tensor coarse(const Tensor& x);  // floats rounded to what bf16 holds, in their own dtype; a contiguous copy

std::vector<double> values(const Tensor& x);
bool same_bits(const Tensor& a, const Tensor& b);

}  // namespace hinoki::test
