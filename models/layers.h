// The modules every network is made of: plain structs of parameters that are called like functions.
#pragma once
#include "core/ops.h"
#include "models/lora.h"

namespace hinoki {

// What the backward pass computes a second time: nothing, the insides of attention and MLP from their inputs, or the
// whole layer from its input.
enum class Recompute { none, inputs, full };

struct Linear {
  Tensor weight, bias;
  WeightLayout layout;
  LowRank beside;

  // weight [out, in] (or [in, out]); no bias if `biased` is false.
  Linear(Scope s, int64_t in, int64_t out, Init init, bool biased = true, WeightLayout layout = WeightLayout::out_in,
         Init bias_init = zeros_init())
      : weight(s.parameter("weight", layout == WeightLayout::out_in ? Shape{out, in} : Shape{in, out}, init)),
        bias(biased ? s.parameter("bias", {out}, bias_init) : Tensor()),
        layout(layout),
        beside(s, in, out) {}

  Tensor operator()(const Tensor& x) const {
    const Tensor y = linear(x, weight, bias, layout);
    return beside.on() ? add(y, beside(x)) : y;
  }
};

// Two linear maps, stored alike, and GELU between them.
struct Mlp {
  Linear up, down;
  Gelu form;

  Tensor operator()(const Tensor& x, Inner inner = Inner::kept) const {
    // Adapters that are switched off leave the same bits as those that add nothing yet, by the same ops.
    if (up.beside.there() || down.beside.there()) return down(gelu(up(x), form));
    return gelu_mlp(x, {up.weight, up.bias, down.weight, down.bias, up.layout}, form, inner);
  }
};

struct LayerNorm {
  Tensor weight, bias;
  double eps;

  LayerNorm(Scope s, int64_t width, double eps)
      : weight(s.parameter("weight", {width}, ones_init())),
        bias(s.parameter("bias", {width}, zeros_init())),
        eps(eps) {}

  Tensor operator()(const Tensor& x) const { return layer_norm(x, weight, bias, eps); }
  Normed operator()(const Tensor& x, const Tensor& d1, const Tensor& d2 = {}) const {
    return residual_layer_norm(x, d1, d2, weight, bias, eps);
  }
};

// What a forward pass depends on besides its inputs and weights.
struct Pass {
  bool training = false;  // dropout on
  uint64_t seed = 0, step = 0;
  int64_t first_row = 0;  // index of the first sequence in the global batch of this step
  RandomKey key(uint64_t site) const { return {.seed = seed, .site = site, .step = step}; }
};

// Dropout at a named place.
struct Dropout {
  double p;
  uint64_t site;

  Dropout(const Scope& s, double p) : p(p), site(s.site()) {}

  // x [rows of the batch, ...]
  Tensor operator()(const Tensor& x, const Pass& pass) const {
    if (!pass.training || p == 0) return x;
    return dropout(x, p, pass.key(site), pass.first_row * (x.numel() / x.size(0)));
  }
};

}  // namespace hinoki
