#include "train/dpo_task.h"

#include "core/base/log.h"
#include "train/gpt_plan.h"
#include "train/model_folder.h"
#include "train/progress.h"

namespace hinoki {
namespace {

// Sums of log-probabilities of answers, or their means: IPO's margin is one of a token.
Tensor answer_log_probs(const CausalLm& model, const PairExamples& here, const Pass& pass, DpoLoss form) {
  const Tensor x = model.hidden_rows(here.batch.ids, here.batch.segments, here.answers.rows, pass);
  const Tensor sums = segment_sums(linear_log_probs(x, model.head(), here.answers.labels), here.answer_ends);
  if (form != DpoLoss::ipo) return sums;
  const Tensor shares = empty_like(sums);
  for (size_t i = 0; i < here.answer_ends.size(); ++i)
    shares.as<double>()[i] = 1 / double(here.answer_ends[i] - (i ? here.answer_ends[i - 1] : 0));
  return mul(sums, shares);
}

}  // namespace

std::string heading_of(const DpoConfig& c) {
  return say("preferred answers of a ", c.model.architecture, ", ", c.model.layers(), " layers, width ",
             c.model.width(), ", vocabulary ", grouped(c.model.vocab_size()), ", rows of ", c.data.sequence, " tokens",
             c.adapts() ? say(", adapters of rank ", c.lora.rank) : "");
}

Plan plan_of(const DpoConfig& c) {
  Plan plan = plan_pass({.model = c.model,
                         .batch = c.train.batch,
                         .sequence = c.data.sequence,
                         .recompute = c.train.recompute,
                         .dtype = c.dtype(),
                         .lora = c.lora,
                         .device = c.device});
  if (!c.adapts()) {
    plan.frozen = plan.parameters;
    plan.frozen_bytes = int64_t(size_of(c.dtype())) * plan.parameters;
  }
  return plan;
}

// Of the layers, forward, backward and forward in the reference; the head sees answers alone, and is not counted.
Throughput throughput_of(const DpoConfig& c) {
  const double learning = token_cost(c.model, c.data.sequence, !c.adapts(), 0).total();
  const double reading = token_cost(c.model, c.data.sequence, true, 0).total() / 3;
  return {.one = "token",
          .many = "tokens",
          .unit = "tok/s",
          .metric = "tokens_per_second",
          .step = double(c.step_tokens()),
          .flops = learning + reading,
          .made_of = say(c.train.micro_batches, " micro-batches x ", c.train.batch, " rows x ", c.data.sequence)};
}

double epoch_of(const DpoConfig& c) {
  return is_file(chat_corpus_path(c.data.path, "train")) ? PreferencePairs(c, "", false).tokens() : 0;
}

std::unique_ptr<Task> task_of(const DpoConfig& config, Parameters& parameters) {
  return std::make_unique<DpoTask>(config, parameters);
}

DpoTask::DpoTask(const DpoConfig& config, Parameters& parameters)
    : config_(config), tokenizer_(Tokenizer::load(config.data.path)), pairs_(config, tokenizer_.hash(), false) {
  require_fits(tokenizer_, config.model, config.start_from);
  model_ = make_model(config.model, parameters);
  model_->recompute = config.train.recompute;
  reference_ = std::make_unique<Reference>(config_, config_.model, *model_);
  pairs_.tell();
}

std::unique_ptr<Examples> DpoTask::examples(int64_t step, int64_t first, int64_t rows) const {
  return pairs_.examples(step, first, rows);
}

PreferencePairs::Judged DpoTask::judge(const PairExamples& examples, const Pass& pass) const {
  const PairExamples here = to_device(examples, config_.device);
  const Tensor before =
      (*reference_)([&](const CausalLm& model) { return answer_log_probs(model, here, {}, config_.loss); });
  const Tensor now = answer_log_probs(*model_, here, pass, config_.loss);
  PreferencePairs::Judged judged{dpo_loss(now, before, config_.beta, config_.loss, config_.smoothing), {}};
  for (int64_t i = 0; i < now.numel(); ++i)
    judged.rewards.push_back(config_.beta * (now.as<double>()[i] - before.as<double>()[i]));
  return judged;
}

Tensor DpoTask::loss(const Examples& examples, const Pass& pass) const {
  const PreferencePairs::Judged judged = judge(static_cast<const PairExamples&>(examples), pass);
  shown_.add(pair_sums(judged.rewards));
  return judged.loss;
}

Shown DpoTask::after_step(Communicator& ranks) { return show_pairs("train/", shown_.take(ranks)); }

Validation DpoTask::validate(Communicator& ranks) const {
  return pairs_.validate(ranks, [&](const PairExamples& examples) { return judge(examples, {}); });
}

void DpoTask::check_snapshot(const std::string& folder) const { require_same_tokenizer(folder, tokenizer_); }

std::function<void(const std::string& folder)> DpoTask::model_texts() const {
  const ModelFolder model{.config = {config_.model, special_ids(tokenizer_)},
                          .dtype = config_.dtype(),
                          .tokenizer = Tokenizer::model_path(config_.data.path).string(),
                          .card = "",
                          .chat_template = ChatTemplate::named(pairs_.corpus().info().chat_template).jinja()};
  return [model](const std::string& folder) { write_model_texts(folder, model); };
}

}  // namespace hinoki
