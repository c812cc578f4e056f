// Several linear maps of one x, whose products write into column blocks of one y.
#include "core/ops/linear_map.h"

namespace hinoki {
namespace {

// Map i of y, with where its columns begin.
struct Part {
  LinearMap map;
  int64_t begin;

  Tensor columns(const Tensor& y) const { return y.narrow(y.rank() - 1, begin, map.out); }
};

std::vector<Part> joined_parts(const Tensor& x, const std::vector<Tensor>& weights, const std::vector<Tensor>& biases,
                               WeightLayout layout) {
  require(!weights.empty() && (biases.empty() || biases.size() == weights.size()), "linear_joined: ", weights.size(),
          " weights, ", biases.size(), " biases");
  std::vector<Part> parts;
  int64_t width = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    parts.push_back({LinearMap("linear_joined", x, weights[i], biases.empty() ? Tensor() : biases[i], layout), width});
    width += parts.back().map.out;
  }
  for (Part& part : parts) part.map.pitch = width;
  return parts;
}

}  // namespace

Tensor linear_joined(const Tensor& x, const std::vector<Tensor>& weights, const std::vector<Tensor>& biases,
                     WeightLayout layout) {
  const std::vector<Part> parts = joined_parts(x, weights, biases, layout);
  Shape shape = x.shape();
  shape[-1] = parts[0].map.pitch;
  const Tensor y = empty(shape, x.dtype(), x.device());
  std::vector<Tensor> inputs{x};
  std::vector<Saved> kept;
  std::vector<Sink> to_weights, to_biases;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Tensor bias = biases.empty() ? Tensor() : biases[i];
    kernels::gemm.run(x.device(), x.stream(), parts[i].map.forward(x, weights[i], bias, parts[i].columns(y)));
    inputs.push_back(weights[i]);
    inputs.push_back(bias);
    kept.emplace_back(weights[i]);
    to_weights.emplace_back(weights[i], wide(x.dtype()));
    to_biases.emplace_back(bias, wide(x.dtype()));
  }
  return differentiable(
      y, inputs, [x = Saved(x), kept, to_x = Sink(x), to_weights, to_biases, parts](const Tensor& dy) -> Grads {
        require(dy.contiguous(), "linear_joined: gradient of shape ", dy.shape(), " is not contiguous");
        Sink::Target dx = to_x.open();
        Grads grads{dx};
        for (size_t i = 0; i < parts.size(); ++i) {
          const Tensor dpart = parts[i].columns(dy);
          if (to_x.wanted()) {
            kernels::gemm.run(dy.device(), dy.stream(), parts[i].map.backward(dpart, *kept[i], dx));
            dx.accumulate = true;
          }
          const Sink::Target dweight = to_weights[i].open(), dbias = to_biases[i].open();
          parts[i].map.parameter_gradients(dpart, to_weights[i].wanted() ? *x : Tensor(), dweight, dbias);
          grads.push_back(dweight);
          grads.push_back(dbias);
        }
        return grads;
      });
}

}  // namespace hinoki
