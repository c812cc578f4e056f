#include "train/run.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "core/base/clock.h"
#include "core/base/hash128.h"
#include "core/base/log.h"
#include "core/base/trace.h"
#include "models/peft.h"
#include "train/guard.h"
#include "train/rewind.h"

namespace hinoki {
namespace {

// The recipe with its reduction slots chosen, and refused where these ranks cannot share them.
std::unique_ptr<Recipe> with_slots(const Recipe& given, int ranks) {
  std::unique_ptr<Recipe> recipe = given.clone();
  TrainConfig& train = recipe->config().train;
  int64_t& slots = train.reduction_slots;
  if (slots == 0) slots = int64_t(std::bit_ceil(unsigned(ranks)));
  require<Exit::usage>(slots % ranks == 0, ranks, " ranks cannot share train.reduction_slots = ", slots,
                       " equally; start 1, 2, 4, ... up to ", slots, " ranks");
  train.check();
  recipe->config().guard.check();
  recipe->config().RunConfig::check();
  return recipe;
}

// Of the whole model, or of adapters beside a finished one.
Parameters make_parameters(const RunConfig& c) {
  if (!c.adapts()) return Parameters(c.dtype(), c.device);
  return Parameters(c.dtype(), c.device, frozen_base(c.start_from, c.lora, c.device, c.dtype()));
}

}  // namespace

Run::Run(const Recipe& recipe, Communicator& ranks)
    : ranks_(ranks),
      recipe_(with_slots(recipe, ranks.size())),
      config_(std::as_const(*recipe_).config()),
      parameters_(make_parameters(config_)),
      task_(recipe_->open(parameters_)) {
  parameters_.allocate();
  if (config_.start_from.empty() || config_.adapts()) parameters_.initialize(uint64_t(config_.train.seed));
  if (!config_.start_from.empty()) start_from(config_.start_from);
  shards_.emplace(parameters_.flat_size(), int64_t(config_.train.bucket_mib * double(1 << 18)), ranks.size());
  reducer_ = std::make_unique<Reducer>(parameters_, ranks_, *shards_, slots(), !sharded(),
                                       config_.train.between_gpus == BetweenGpus::nccl);
  optimizer_ = sharded() ? std::make_unique<Optimizer>(parameters_, config_.optimizer, shards_->of(ranks.rank()))
                         : std::make_unique<Optimizer>(parameters_, config_.optimizer);
  optimizer_->learn_from([this](const Parameter& p) { return task_->learns_from(p); });
  saving_ = std::make_unique<Saving>(texts(), parameters_, *optimizer_, ranks_, sharded());
  task_->check_end();
}

// A value that is not finite may hide for long: in the embedding of a token that seldom comes.
void Run::start_from(const std::string& folder) {
  if (config_.adapts()) {
    check_adapters(parameters_);
    WeightSource(folder).check_all_used(parameters_);
  } else {
    task_->start_from(folder, parameters_);
  }
  const std::string bad = config_.adapts() ? find_not_finite_base(parameters_) : find_not_finite_weight(parameters_);
  require<Exit::numerical>(bad.empty(), "start_from ", folder, ": not finite is ", bad,
                           "; nothing was trained or saved");
}

// Ranks that began with other weights would never agree again, and nothing else would tell.
void Run::meet() {
  if (ranks_.alone()) return;
  reducer_->connect();
  Hasher128 hasher;
  for (const Parameter& p : parameters_.all()) {
    const Tensor here = to_device(p.value.detach(), Device::cpu);
    hasher.add(here.data(), size_t(here.numel()) * size_of(here.dtype()));
  }
  const std::vector<std::string> all = gather(ranks_, "hashes of the weights", hasher.hex());
  for (int r = 1; r < ranks_.size(); ++r)
    require(all[size_t(r)] == all[0], "rank ", r, " has other weights than rank 0 (", all[size_t(r)], ", ", all[0],
            "): other instruction sets, libraries or files at start_from; `hinoki doctor` under the launcher compares");
}

SnapshotTexts Run::texts() const {
  auto write_model = task_->model_texts();
  if (parameters_.base())
    write_model = [model = std::move(write_model),
                   adapters = print_peft_config(parameters_)](const std::string& folder) {
      model(folder);
      write_peft_config(folder, adapters);
    };
  return {.config = config_, .printed = recipe_->print(), .write_model = std::move(write_model)};
}

void Run::resume(const std::string& snapshot) {
  task_->check_snapshot(snapshot);
  prefetch_.reset();
  state_ = load_snapshot(snapshot, texts(), parameters_, *optimizer_);
  task_->recall(snapshot);
}

Run::StepExamples Run::make_step(int64_t step, int64_t shift) const {
  const Trace trace("make batches", "step", step + 1);
  StepExamples all;
  for (int64_t micro = 0; micro < micro_batches(); ++micro)
    all.push_back(
        task_->examples(step + shift, (first_micro_batch() + micro) * config_.train.batch, config_.train.batch));
  return all;
}

// Losses are sums: gradients of all micro-batches add up, and the number of targets divides once, at the end.
StepSums Run::accumulate(const StepExamples& examples) {
  const double start = steady_seconds();
  StepSums sums;
  std::vector<double> losses;  // of slots
  const int64_t in_slot = micro_batches() / slots();
  for (int64_t micro = 0; micro < micro_batches(); ++micro) {
    const bool last_of_slot = (micro + 1) % in_slot == 0, last = micro + 1 == micro_batches();
    if (micro % in_slot == 0) {
      parameters_.clear_gradients();
      losses.push_back(0);
    }
    const Examples& mine = *examples[size_t(micro)];
    const Pass pass{.training = true,
                    .seed = uint64_t(config_.train.seed),
                    .step = uint64_t(state_.step),
                    .first_row = (first_micro_batch() + micro) * config_.train.batch};
    const Tensor sum = (Trace("forward", "micro_batch", micro), task_->loss(mine, pass));
    Trace("backward", "micro_batch", micro), backward(sum, last ? reducer_->hook() : LeafHook());
    losses.back() += (Trace("read the loss", "micro_batch", micro), sum.item());
    sums.targets += task_->targets(mine);
    if (last_of_slot) parameters_.finish_gradients();
    if (last_of_slot && !last) reducer_->finish_slot();
  }
  sums.busy = steady_seconds() - start - reducer_->take_waited();
  reducer_->finish();
  sums.loss = tree_sum(losses);
  return sums;
}

StepReport Run::step(int stop) {
  ranks_.set_step(state_.step + 1);
  saving_->check();
  if (!prefetch_)
    prefetch_ = std::make_unique<Prefetch<StepExamples>>(
        [this, shift = state_.data_shift](int64_t step) { return make_step(step, shift); }, state_.step);
  const Trace trace("step", "step", state_.step + 1);
  const double start = steady_seconds();
  Trace("before the step"), task_->before_step(state_.step, ranks_);
  const StepExamples examples = (Trace("wait for data"), prefetch_->next());
  const double got_data = steady_seconds();
  StepSums sums = accumulate(examples);
  sums.busy += got_data - start;
  sums.stop = stop;
  sums.warned = warnings_wait();
  sums.parts_done = saving_->part_done();
  sums.chunk_norms = (Trace("norms"), optimizer_->chunk_norms(shards_->of(ranks_.rank())));
  sums = sum_over_ranks(ranks_, *shards_, sums);
  saving_->heard(sums.parts_done);

  StepReport report{.step = state_.step + 1,
                    .learning_rate = config_.learning_rate.at(state_.step, config_.train.steps),
                    .targets = sums.targets,
                    .stop = int(sums.stop),
                    .warned = sums.warned > 0,
                    .busy = sums.busy_of};
  const double mean = 1 / double(sums.targets);
  report.loss = sums.loss * mean;
  report.shown = task_->after_step(ranks_);
  report.gradient_norm = mean * std::sqrt(std::accumulate(sums.chunk_norms.begin(), sums.chunk_norms.end(), 0.0));
  const std::string wrong = objection(config_.guard, report, state_);
  if (!wrong.empty()) {
    bool damaged = false;
    const std::string what = describe_bad(wrong, damaged);
    if (config_.guard.rewinds()) {
      report.rewind = rewind(what);
      report.seconds = steady_seconds() - start;
      return report;
    }
    skip_or_stop(what, damaged);
    report.skipped = what;
  } else {
    // The factor of torch.nn.utils.clip_grad_norm_.
    const double clip =
        config_.optimizer.clip > 0 ? std::min(1.0, config_.optimizer.clip / (report.gradient_norm + 1e-6)) : 1;
    Trace("update"), optimizer_->update(report.learning_rate, mean * clip, state_.updates++);
    if (sharded()) reducer_->gather_weights();
    state_.skipped_in_a_row = 0;
    remember_loss(state_, report.loss);
    remember_progress(config_.guard, state_);
  }
  ++state_.step;
  state_.targets += report.targets;
  report.seconds = steady_seconds() - start;
  return report;
}

// All ranks come here together, since their figures are the same.
std::string Run::describe_bad(const std::string& wrong, bool& damaged) {
  // One rank's damaged weight has by now spoiled the gradients of all: a cause goes before its consequences.
  std::vector<std::string> found = gather(ranks_, "search for what is not finite", find_not_finite(parameters_));
  std::erase(found, "");
  const auto damage =
      std::find_if(found.begin(), found.end(), [](const auto& s) { return s.starts_with("the weights"); });
  damaged = damage != found.end();
  const std::string where = found.empty() ? "no weight and no gradient" : damaged ? *damage : found[0];
  const int64_t rows = config_.step_rows(), first = (state_.step + state_.data_shift) * rows;
  return say("step ", state_.step + 1, ": ", wrong, "; the first value that is not finite is in ", where,
             "; the batch is rows ", first, " to ", first + rows - 1, " of the training data's order");
}

void Run::skip_or_stop(const std::string& what, bool damaged) {
  const bool again = state_.skipped_in_a_row == config_.guard.most_in_a_row;
  if (config_.guard.policy == GuardPolicy::stop || damaged || again)
    fail<Exit::numerical>(what, again ? say(", and ", state_.skipped_in_a_row, " steps before it were skipped") : "",
                          ". The weights are those of step ", state_.step,
                          "; a lower learning rate, a longer warmup or a smaller optimizer.clip may help, or "
                          "guard.policy = \"skip\" where single batches are to blame");
  ++state_.skipped_in_a_row;
}

// Damaged weights are left behind, too. Until the newer snapshots go nothing has changed on the disk.
StepReport::Rewind Run::rewind(const std::string& what) {
  const RunState bad = state_;
  saving_->finish();
  SnapshotPath to{};
  together(ranks_, "looking for a snapshot to go back to", [&] {
    if (ranks_.first()) to = find_rewind(config_, bad, what);
  });
  to.path = broadcast(ranks_, "the snapshot to go back to", to.path);
  together(ranks_, "going back", [&] { resume(to.path); });
  const int64_t first = state_.step + state_.data_shift;
  state_ = rewound(config_.guard, bad, state_);
  const int64_t left_out = state_.step + state_.data_shift - first, rows = config_.step_rows();
  together(ranks_, "removing the snapshots that a rewind leaves behind", [&] {
    if (!ranks_.first()) return;
    warn(what, ". Going back to step ", state_.step, " (", to.path, "), and on without the ", left_out,
         " batches from there to ", config_.guard.skip_batches - 1, " after the bad one: rows ", first * rows, " to ",
         (first + left_out) * rows - 1, " of that order. Rewind ", state_.rewinds_in_a_row, " of at most ",
         config_.guard.most_in_a_row, " in a row");
    remove_snapshots_after(snapshots(), state_.step);
    saving_->finished();  // it may be gone
  });
  return {.to = state_.step, .first_row = first * rows, .rows = left_out * rows};
}

double Run::start_saving(std::function<void()> before_publishing) {
  return saving_->start(
      {.state = state_, .before_publishing = std::move(before_publishing), .remembered = task_->remembered()});
}

std::string Run::save() {
  start_saving();
  finish_saving();
  const auto saved = this->saved();
  return saved ? saved->path : "";
}

}  // namespace hinoki
