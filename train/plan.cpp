#include "train/plan.h"

#include <algorithm>
#include <bit>
#include <sstream>

#include "core/ops.h"
#include "train/progress.h"

namespace hinoki {
namespace {

// Elements a token that one layer keeps for its backward pass. Each term is the capture list of an op:
//   qkv product: its input (norm1)          width    attention: qkv, out                     3 width + width
//   dense: its input is attention's output  -        MLP: its input (norm2), first product   width + inner
//   residual norms: two sums                2 width
// With a parallel residual there is one sum less. Dropout keeps nothing: its mask is a function.
struct LayerMemory {
  double width, inner, sums;

  explicit LayerMemory(const ModelConfig& m)
      : width(double(m.width())),
        inner(double(m.is_gpt2() ? m.gpt2.n_inner : m.gpt_neox.intermediate_size)),
        sums(!m.is_gpt2() && m.gpt_neox.use_parallel_residual ? 1 : 2) {}

  double attention() const { return 4 * width; }
  double mlp() const { return inner; }
  double inputs() const { return (2 + sums) * width; }  // of attention and MLP, and the stream
  double all() const { return inputs() + attention() + mlp(); }

  // By a forward pass, and by what the backward pass computes again of one layer.
  double kept(Recompute recompute) const {
    return recompute == Recompute::full ? 2 * width : recompute == Recompute::inputs ? inputs() : all();
  }
  double again(Recompute recompute) const {
    return recompute == Recompute::full ? all() : recompute == Recompute::inputs ? std::max(attention(), mlp()) : 0;
  }
  // The stream and its gradient, and the widest temporary of a backward pass.
  double temporary() const { return 3 * width + std::max(inner, 4 * width); }
};

}  // namespace

Plan make_plan(const PlanFor& what) {
  Parameters parameters(what.dtype);
  make_model(what.model, parameters);
  const int64_t element = int64_t(size_of(what.dtype)), wide_element = int64_t(size_of(wide(what.dtype)));
  Plan plan;
  plan.parameters = parameters.count();
  plan.flops_per_token = token_cost(what.model, what.sequence).total();
  plan.weight_bytes = element * parameters.flat_size();
  plan.gradient_bytes = wide_element * parameters.flat_size();
  plan.master_bytes = parameters.has_masters() ? plan.gradient_bytes : 0;
  plan.moment_bytes = 2 * plan.gradient_bytes;
  plan.snapshot_bytes = plan.weight_bytes + plan.master_bytes + plan.moment_bytes;
  const LayerMemory layer(what.model);
  const int64_t tokens = what.batch * what.sequence, vocabulary = what.model.vocab_size();
  // The most is held either while the loss is there with a chunk of its logits, or in the last layer's backward pass.
  const double kept = double(what.model.layers()) * layer.kept(what.recompute);
  const double logits = double(std::min(tokens, loss_chunk_rows(vocabulary))) * double(vocabulary);
  const double loss = double(tokens) * (kept + 3 * layer.width) + logits;
  const double backward = double(tokens) * (kept + layer.again(what.recompute) + layer.temporary());
  plan.activation_bytes = int64_t(double(element) * std::max(loss, backward));
  return plan;
}

Plan make_plan(const GptConfig& c, int ranks) {
  Plan plan = make_plan({.model = c.model,
                         .batch = c.train.batch,
                         .sequence = c.data.sequence,
                         .recompute = c.train.recompute,
                         .dtype = c.dtype()});
  const int64_t slots = std::max<int64_t>(c.train.reduction_slots, std::bit_ceil(unsigned(ranks))) / ranks;
  plan.reduction_bytes = std::countr_zero(uint64_t(slots)) * plan.gradient_bytes;
  if (ranks == 1) return plan;
  plan.reduction_bytes += std::min(int64_t(c.train.bucket_mib * double(1 << 20)), plan.gradient_bytes);
  if (c.train.zero) {
    plan.moment_bytes /= ranks;
    plan.snapshot_bytes /= ranks;
  }
  return plan;
}

std::string print_plan(const GptConfig& c, int64_t corpus_tokens, int ranks) {
  const Plan plan = make_plan(c, ranks);
  std::ostringstream out;
  const auto row = [&](const char* name, const std::string& value) {
    out << "  " << name << std::string(26 - std::min<size_t>(25, std::string(name).size()), ' ') << value << '\n';
  };
  out << c.model.architecture << ", " << c.model.layers() << " layers, width " << c.model.width() << ", vocabulary "
      << grouped(c.model.vocab_size()) << '\n';
  row("parameters", grouped(plan.parameters));
  row("GFLOP per token",
      say(plan.flops_per_token / 1e9, "  (forward and backward, sequences of ", c.data.sequence, ")"));
  row("tokens per step", say(grouped(c.step_tokens()), "  = ", c.train.micro_batches, " micro-batches x ",
                             c.train.batch, " sequences x ", c.data.sequence));
  row("TFLOP per step", say(plan.flops_per_token * double(c.step_tokens()) / 1e12));
  row("steps", say(grouped(c.train.steps), "  = ", grouped(c.train.steps * c.step_tokens()), " tokens"));
  if (corpus_tokens > 0)
    row("steps per epoch", say(grouped(corpus_tokens / c.step_tokens()), "  of ", grouped(corpus_tokens), " tokens"));
  if (ranks > 1)
    row("sent by a rank per step",
        say(mebibytes(2 * double(plan.gradient_bytes) * (ranks - 1) / ranks), "  of ", ranks, " ranks"));
  out << (ranks > 1 ? "memory of a rank\n" : "memory\n");
  row("weights", mebibytes(double(plan.weight_bytes)));
  if (plan.master_bytes) row("f32 masters", mebibytes(double(plan.master_bytes)));
  row("gradients", mebibytes(double(plan.gradient_bytes)));
  row("moments", mebibytes(double(plan.moment_bytes)));
  if (plan.reduction_bytes) row("sums of slots and ranks", mebibytes(double(plan.reduction_bytes)));
  row("activations, about", mebibytes(double(plan.activation_bytes)));
  row("copy for snapshots",
      mebibytes(double(plan.snapshot_bytes)) + (c.device == Device::cpu ? "" : "  not on the GPU"));
  row("total, about", mebibytes(double(plan.total(c.device))));
  return out.str();
}

std::string print_shortage(const GptConfig& c) {
  std::ostringstream out;
  out << print_plan(c, 0) << "less need, about\n";
  const auto row = [&](const GptConfig& less, const std::string& setting) {
    out << "  " << setting << ": " << mebibytes(double(make_plan(less).total(c.device))) << '\n';
  };
  for (const Recompute more : {Recompute::inputs, Recompute::full}) {
    if (more <= c.train.recompute) continue;
    GptConfig less = c;
    less.train.recompute = more;
    row(less, say("train.recompute=", enum_names(more)[size_t(more)]));
  }
  if (c.train.batch > 1) {
    GptConfig less = c;
    less.train.batch = c.train.batch % 2 == 0 ? c.train.batch / 2 : 1;
    less.train.micro_batches = c.train.micro_batches * c.train.batch / less.train.batch;
    row(less, say("train.batch=", less.train.batch, " train.micro_batches=", less.train.micro_batches));
  }
  out << "  a smaller model, or a smaller data.sequence";
  return out.str();
}

}  // namespace hinoki
