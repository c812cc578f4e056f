#include "train/plan.h"

#include <algorithm>
#include <bit>
#include <sstream>

#include "train/progress.h"
#include "train/recipe.h"

namespace hinoki {

Plan plan_buffers(const Parameters& parameters) {
  Plan plan;
  plan.parameters = parameters.count();
  for (const Parameter& p : parameters.frozen()) plan.frozen += p.size();
  plan.frozen_bytes = int64_t(size_of(parameters.dtype())) * plan.frozen;
  plan.weight_bytes = int64_t(size_of(parameters.dtype())) * parameters.flat_size();
  plan.gradient_bytes = int64_t(size_of(wide(parameters.dtype()))) * parameters.flat_size();
  plan.master_bytes = parameters.has_masters() ? plan.gradient_bytes : 0;
  plan.moment_bytes = 2 * plan.gradient_bytes;
  plan.snapshot_bytes = plan.weight_bytes + plan.master_bytes + plan.moment_bytes;
  return plan;
}

Plan make_plan(const Recipe& recipe, int ranks) {
  const TrainConfig& train = recipe.config().train;
  Plan plan = recipe.plan();
  const int64_t slots = std::max<int64_t>(train.reduction_slots, std::bit_ceil(unsigned(ranks))) / ranks;
  plan.reduction_bytes = std::countr_zero(uint64_t(slots)) * plan.gradient_bytes;
  if (ranks == 1) return plan;
  plan.reduction_bytes += std::min(int64_t(train.bucket_mib * double(1 << 20)), plan.gradient_bytes);
  if (train.zero) {
    plan.moment_bytes /= ranks;
    plan.snapshot_bytes /= ranks;
  }
  return plan;
}

std::string print_plan(const Recipe& recipe, double epoch, int ranks) {
  const Plan plan = make_plan(recipe, ranks);
  const RunConfig& c = recipe.config();
  const Throughput work = recipe.throughput();
  std::ostringstream out;
  const auto row = [&](const std::string& name, const std::string& value) {
    out << "  " << name << std::string(26 - std::min<size_t>(25, name.size()), ' ') << value << '\n';
  };
  const auto count = [](double n) { return grouped(int64_t(n)); };
  out << recipe.heading() << '\n';
  row("parameters", plan.frozen ? say(grouped(plan.parameters), "  that learn, beside ", grouped(plan.frozen))
                                : grouped(plan.parameters));
  row("GFLOP per " + work.one, say(work.flops / 1e9, "  (forward and backward)"));
  row(work.many + " per step", say(count(work.step), "  = ", work.made_of));
  row("TFLOP per step", say(work.flops * work.step / 1e12));
  row("steps", say(grouped(c.train.steps), "  = ", count(double(c.train.steps) * work.step), ' ', work.many));
  if (epoch > 0) row("steps per epoch", say(count(epoch / work.step), "  of ", count(epoch), ' ', work.many));
  if (ranks > 1)
    row("sent by a rank per step",
        say(mebibytes(2 * double(plan.gradient_bytes) * (ranks - 1) / ranks), "  of ", ranks, " ranks"));
  out << (ranks > 1 ? "memory of a rank\n" : "memory\n");
  if (plan.frozen) row("base", mebibytes(double(plan.frozen_bytes)));
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

std::string print_shortage(const Recipe& recipe) {
  const TrainConfig& train = recipe.config().train;
  std::ostringstream out;
  out << print_plan(recipe, 0) << "less need, about\n";
  const auto row = [&](const std::string& setting, auto&& change) {
    const auto less = recipe.clone();
    change(less->config().train);
    out << "  " << setting << ": " << mebibytes(double(make_plan(*less).total(less->config().device))) << '\n';
  };
  for (const Recompute more : {Recompute::inputs, Recompute::full})
    if (more > train.recompute)
      row(say("train.recompute=", enum_names(more)[size_t(more)]), [&](TrainConfig& less) { less.recompute = more; });
  if (train.batch > 1) {
    const int64_t batch = train.batch % 2 == 0 ? train.batch / 2 : 1;
    const int64_t micro_batches = train.micro_batches * train.batch / batch;
    row(say("train.batch=", batch, " train.micro_batches=", micro_batches),
        [&](TrainConfig& less) { less.batch = batch, less.micro_batches = micro_batches; });
  }
  out << "  a smaller model, or shorter rows of data";
  return out.str();
}

}  // namespace hinoki
