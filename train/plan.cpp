#include "train/plan.h"

#include <algorithm>
#include <sstream>

#include "train/progress.h"

namespace hinoki {
namespace {

// Floats a token that one layer keeps for its backward pass, in units given by the model's sizes. Each term is the
// capture list of an op:
//   qkv product: its input (norm1)            width      attention: qkv, out      3 width + width
//   dense: its input is attention's output    -          residual norm: its sum   width
//   up: its input (norm2)                     width      bias_gelu: its input     inner
//   down: its input (gelu's output)           inner      residual norm: its sum   width
// With a parallel residual there is one sum less. Dropout keeps nothing: its mask is a function.
double kept_per_token(const ModelConfig& m) {
  const double width = double(m.width()), inner = double(m.is_gpt2() ? m.gpt2.n_inner : m.gpt_neox.intermediate_size);
  const double sums = !m.is_gpt2() && m.gpt_neox.use_parallel_residual ? 1 : 2;
  return width * (1 + 4 + 1 + sums) + 2 * inner;
}

}  // namespace

Plan make_plan(const ModelConfig& model, int64_t batch, int64_t sequence, Recompute recompute) {
  Parameters parameters(DType::f32);
  make_model(model, parameters);
  Plan plan;
  plan.parameters = parameters.count();
  plan.flops_per_token = token_cost(model, sequence).total();
  plan.weight_bytes = plan.gradient_bytes = 4 * parameters.flat_size();
  plan.moment_bytes = 8 * parameters.flat_size();
  const double tokens = double(batch * sequence), layer = kept_per_token(model);
  const double inner = double(model.is_gpt2() ? model.gpt2.n_inner : model.gpt_neox.intermediate_size);
  const double width = double(model.width());
  const double kept = recompute == Recompute::layer ? 2 * width * double(model.layers()) + layer
                                                    : layer * double(model.layers());
  // Beside what is kept: the stream and its gradient, and the widest temporary of a backward pass.
  const double temporary = 3 * width + std::max(2 * inner, 4 * width);
  const double logits = 256.0 * double(model.vocab_size());
  plan.activation_bytes = int64_t(4 * (tokens * (kept + temporary) + logits));
  return plan;
}

std::string print_plan(const GptConfig& c, int64_t corpus_tokens) {
  const Plan plan = make_plan(c.model, c.train.batch, c.data.sequence, c.train.recompute);
  std::ostringstream out;
  const auto row = [&](const char* name, const std::string& value) {
    out << "  " << name << std::string(26 - std::min<size_t>(25, std::string(name).size()), ' ') << value << '\n';
  };
  out << c.model.architecture << ", " << c.model.layers() << " layers, width " << c.model.width() << ", vocabulary "
      << grouped(c.model.vocab_size()) << '\n';
  row("parameters", grouped(plan.parameters));
  row("GFLOP per token", say(plan.flops_per_token / 1e9, "  (forward and backward, sequences of ", c.data.sequence, ")"));
  row("tokens per step", say(grouped(c.step_tokens()), "  = ", c.train.micro_batches, " micro-batches x ", c.train.batch,
                             " sequences x ", c.data.sequence));
  row("TFLOP per step", say(plan.flops_per_token * double(c.step_tokens()) / 1e12));
  row("steps", say(grouped(c.train.steps), "  = ", grouped(c.train.steps * c.step_tokens()), " tokens"));
  if (corpus_tokens > 0)
    row("steps per epoch", say(grouped(corpus_tokens / c.step_tokens()), "  of ", grouped(corpus_tokens), " tokens"));
  out << "memory\n";
  row("weights", mebibytes(double(plan.weight_bytes)));
  row("gradients", mebibytes(double(plan.gradient_bytes)));
  row("moments", mebibytes(double(plan.moment_bytes)));
  row("activations, about", mebibytes(double(plan.activation_bytes)));
  row("total, about", mebibytes(double(plan.total())));
  return out.str();
}

}  // namespace hinoki
