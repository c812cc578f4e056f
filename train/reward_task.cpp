#include "train/reward_task.h"

#include "core/base/log.h"
#include "train/gpt_plan.h"
#include "train/model_folder.h"
#include "train/progress.h"

namespace hinoki {
namespace {

std::vector<double> values_of(const Tensor& x) {
  const Tensor here = cast(to_device(x.detach(), Device::cpu), DType::f64);
  return {here.as<double>(), here.as<double>() + here.numel()};
}

}  // namespace

std::string heading_of(const RewardConfig& c) {
  return say("rewards of a ", c.model.architecture, ", ", c.model.layers(), " layers, width ", c.model.width(),
             ", vocabulary ", grouped(c.model.vocab_size()), ", rows of ", c.data.sequence, " tokens");
}

Plan plan_of(const RewardConfig& c) {
  return plan_pass({.model = c.model,
                    .batch = c.train.batch,
                    .sequence = c.data.sequence,
                    .recompute = c.train.recompute,
                    .dtype = c.dtype(),
                    .head = LanguageHead::none,
                    .device = c.device});
}

Throughput throughput_of(const RewardConfig& c) {
  return {.one = "token",
          .many = "tokens",
          .unit = "tok/s",
          .metric = "tokens_per_second",
          .step = double(c.step_tokens()),
          .flops = token_cost(c.model, c.data.sequence, true, 0).total(),
          .made_of = say(c.train.micro_batches, " micro-batches x ", c.train.batch, " rows x ", c.data.sequence)};
}

double epoch_of(const RewardConfig& c) {
  return is_file(chat_corpus_path(c.data.path, "train")) ? PreferencePairs(c, "", true).tokens() : 0;
}

std::unique_ptr<Task> task_of(const RewardConfig& config, Parameters& parameters) {
  return std::make_unique<RewardTask>(config, parameters);
}

RewardTask::RewardTask(const RewardConfig& config, Parameters& parameters)
    : config_(config),
      tokenizer_(Tokenizer::load(config.data.path)),
      pairs_(config, tokenizer_.hash(), true),
      model_(config.model, parameters) {
  require_fits(tokenizer_, config.model, config.start_from);
  model_.layers().recompute = config.train.recompute;
  pairs_.tell();
}

std::unique_ptr<Examples> RewardTask::examples(int64_t step, int64_t first, int64_t rows) const {
  return pairs_.examples(step, first, rows);
}

PreferencePairs::Judged RewardTask::judge(const PairExamples& examples, const Pass& pass) const {
  const PairExamples here = to_device(examples, config_.device);
  const Tensor rewards = model_(here.batch.ids, here.batch.segments, here.last, pass);
  return {pairwise_loss(rewards, config_.centring), values_of(rewards)};
}

Tensor RewardTask::loss(const Examples& examples, const Pass& pass) const {
  const PreferencePairs::Judged judged = judge(static_cast<const PairExamples&>(examples), pass);
  shown_.add(pair_sums(judged.rewards));
  return judged.loss;
}

Shown RewardTask::after_step(Communicator& ranks) { return show_pairs("train/", shown_.take(ranks)); }

Validation RewardTask::validate(Communicator& ranks) const {
  return pairs_.validate(ranks, [&](const PairExamples& examples) { return judge(examples, {}); });
}

void RewardTask::start_from(const std::string& folder, Parameters& parameters) const {
  parameters.initialize(uint64_t(config_.train.seed));
  fill_from(folder, parameters, RewardModel::kHead);
  if (is_file(folder + "/config.json") && read_hugging_face_config(folder).scores)
    inform("started from ", folder, "; ", RewardModel::kHead, "weight, too");
  else
    inform("started from ", folder, "; new, from the seed: ", RewardModel::kHead, "weight");
}

void RewardTask::check_snapshot(const std::string& folder) const { require_same_tokenizer(folder, tokenizer_); }

std::function<void(const std::string& folder)> RewardTask::model_texts() const {
  const ModelFolder model{.config = {config_.model, special_ids(tokenizer_), /*scores=*/true},
                          .dtype = config_.dtype(),
                          .tokenizer = Tokenizer::model_path(config_.data.path).string(),
                          .card = "",
                          .chat_template = ChatTemplate::named(pairs_.corpus().info().chat_template).jinja()};
  return [model](const std::string& folder) { write_model_texts(folder, model); };
}

}  // namespace hinoki
