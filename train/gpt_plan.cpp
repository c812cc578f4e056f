#include "train/gpt_plan.h"

#include <algorithm>

#include "core/ops.h"

namespace hinoki {
namespace {

// Elements a token that one layer keeps for its backward pass. Each term is the capture list of an op:
//   qkv product: its input is norm1's output  -    attention: qkv                  3 width
//   dense: what attention gives out        outs    MLP: input from norm2, product  inner
//   residual norms: two sums            2 width
// What a norm gives out is made again, and so is, on the CPU, what attention does. With a parallel residual there is
// one sum less. Dropout keeps nothing: its mask is a function. Adapters keep what comes between their two halves,
// before and after it is scaled, and GELU's output.
struct LayerMemory {
  double width, outs, inner, sums, rank;

  LayerMemory(const ModelConfig& m, int64_t rank, Device device)
      : width(double(m.width())),
        outs(device == Device::cpu ? 0 : width),
        inner(double(m.is_gpt2() ? m.gpt2.n_inner : m.gpt_neox.intermediate_size)),
        sums(!m.is_gpt2() && m.gpt_neox.use_parallel_residual ? 1 : 2),
        rank(double(rank)) {}

  double attention() const { return 3 * width + outs + 4 * rank; }
  double attending() const { return 4 * width + 4 * rank; }  // while its backward pass runs
  double mlp() const { return rank > 0 ? 2 * inner + 4 * rank : inner; }
  double inputs() const { return sums * width; }  // attention and MLP begin with what norms make of the stream
  double all() const { return inputs() + attention() + mlp(); }

  // How many MLPs keep nothing.
  int64_t mlps_again(const PassSize& what, int64_t tokens, int64_t vocabulary) const {
    if (what.recompute != Recompute::none || rank > 0) return 0;
    return mlps_made_again(what.model.layers(), tokens, int64_t(inner), vocabulary, what.device);
  }
  // By a forward pass, and by what the backward pass computes again of one layer.
  double kept(Recompute recompute) const {
    return recompute == Recompute::full ? 2 * width : recompute == Recompute::inputs ? inputs() : all();
  }
  double again(Recompute recompute) const {
    return recompute == Recompute::full ? all() : recompute == Recompute::inputs ? std::max(attending(), mlp()) : 0;
  }
  // The stream and its gradient, and the widest temporary of a backward pass; of an adapted map there are two.
  double temporary() const { return 3 * width + (rank > 0 ? 2 : 1) * std::max(inner, 4 * width); }
};

// Weights that have a place in no memory.
Parameters parameters_of(const PassSize& what) {
  if (what.lora.rank == 0) return Parameters(what.dtype);
  const auto source = [nothing = Storage::reserve(Device::cpu), dtype = what.dtype](
                          const std::string&, const Shape& s) { return Tensor(nothing, 0, s, s.strides(), dtype); };
  return Parameters(what.dtype, Device::cpu, {.source = source, .lora = what.lora});
}

}  // namespace

Plan plan_pass(const PassSize& what) {
  Parameters parameters = parameters_of(what);
  make_model(what.model, Scope(parameters), what.head);
  Plan plan = plan_buffers(parameters);
  const LayerMemory layer(what.model, what.lora.rank, what.device);
  const int64_t tokens = what.batch * what.sequence;
  const int64_t vocabulary = what.head == LanguageHead::own ? what.model.vocab_size() : 0;
  // The most is held either while the loss is there with a chunk of its logits, or in the last layer's backward pass.
  const auto mlps_again = double(layer.mlps_again(what, tokens, vocabulary));
  const double kept = double(what.model.layers()) * layer.kept(what.recompute) - mlps_again * layer.inner;
  const double logits = double(std::min(tokens, loss_chunk_rows(vocabulary, what.device))) * double(vocabulary);
  // The loss reads what the last norm makes; and what the embedding made is kept if it does not learn or dropout follows.
  const double loss = double(tokens) * (kept + 2 * layer.width) + logits;
  const double again = mlps_again > 0 ? layer.inner : layer.again(what.recompute);
  const double backward = double(tokens) * (kept + again + layer.temporary());
  plan.activation_bytes = int64_t(double(size_of(what.dtype)) * std::max(loss, backward));
  return plan;
}

}  // namespace hinoki
