#include "train/ppo_task.h"

#include <cmath>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "data/order.h"
#include "train/gpt_plan.h"
#include "train/model_folder.h"
#include "train/progress.h"

namespace hinoki {
namespace {

struct PpoExamples : Examples {
  std::vector<int64_t> answers;  // of the rollout
};

Tensor as_tensor(const Rollouts& rollouts, std::span<const int64_t> answers, double RolledToken::*which) {
  const std::vector<Rollouts::Place> places = rollouts.places();
  std::vector<double> values;
  for (const int64_t a : answers)
    for (int64_t t = 0; t < rollouts.answers[size_t(a)].answered(); ++t)
      values.push_back(rollouts.tokens[size_t(places[size_t(a)].tokens + t)].*which);
  return from_values<double>({int64_t(values.size())}, values);
}

}  // namespace

std::string heading_of(const PpoConfig& c) {
  return say("a policy of ", c.model.architecture, ", ", c.model.layers(), " layers, width ", c.model.width(),
             ", vocabulary ", grouped(c.model.vocab_size()), ", ", c.rollout.answers, " answers of up to ",
             c.rollout.tokens, " tokens a rollout", c.adapts() ? say(", adapters of rank ", c.lora.rank) : "");
}

Plan plan_of(const PpoConfig& c) {
  Plan plan = plan_pass({.model = c.model,
                         .batch = c.train.batch,
                         .sequence = c.longest(),
                         .recompute = c.train.recompute,
                         .dtype = c.dtype(),
                         .lora = c.lora,
                         .device = c.device});
  if (c.adapts()) {
    plan.parameters += c.model.width() + 1;  // of the value, within the buffers' padding
    return plan;
  }
  // The reference, and the critic.
  const int64_t reference = plan.parameters, activations = plan.activation_bytes;
  Parameters parameters(c.dtype());
  const Policy policy(c, parameters);
  plan = plan_buffers(parameters);
  plan.activation_bytes = (c.policy.critic == Critic::separate ? 2 : 1) * activations;
  plan.frozen = reference;
  plan.frozen_bytes = int64_t(size_of(c.dtype())) * reference;
  return plan;
}

// Answers that steps learn from; sampling and scoring are not counted as operations, but as time they are.
Throughput throughput_of(const PpoConfig& c) {
  return {.one = "answer",
          .many = "answers",
          .unit = "answers/s",
          .metric = "answers_per_second",
          .step = double(c.step_rows()),
          .flops = token_cost(c.model, c.longest(), !c.adapts(), 0).total() * double(c.longest()),
          .made_of = say(c.train.micro_batches, " micro-batches x ", c.train.batch)};
}

double epoch_of(const PpoConfig& c) {
  if (!is_file(chat_corpus_path(c.data.path, "train"))) return 0;
  return double(Prompts(c.data, "train", "").count() * c.rollout.epochs);
}

std::unique_ptr<Task> task_of(const PpoConfig& config, Parameters& parameters) {
  return std::make_unique<PpoTask>(config, parameters);
}

PpoTask::PpoTask(const PpoConfig& config, Parameters& parameters)
    : config_(config),
      tokenizer_((require_fits(Tokenizer::load(config.data.path), config.model, config.start_from),
                  Tokenizer::load(config.data.path))),
      prompts_(config.data, "train", tokenizer_.hash()),
      held_out_(config.data, "validation", tokenizer_.hash()),
      policy_(config, parameters),
      reference_(config_, config_.model, policy_.model()),
      roller_(config_, tokenizer_, prompts_, held_out_, policy_, reference_),
      kl_(config.kl.beta, config.kl.target, config.kl.horizon),
      rollouts_(std::make_shared<Rollouts>()) {
  inform("questions: ", prompts_.count(), ", ", held_out_.count(), " held out; a rollout of ", config.rollout.answers,
         " answers every ", config.steps_of_rollout(), " steps, ", config.rollout.epochs, " epochs over it");
  if (prompts_.dropped() + prompts_.truncated() > 0)
    warn(prompts_.dropped(), " questions are longer than ", config.data.longest, " tokens and left out, ",
         prompts_.truncated(), " lose what they begin with");
}

std::unique_ptr<Examples> PpoTask::examples(int64_t step, int64_t first, int64_t rows) const {
  auto made = std::make_unique<PpoExamples>();
  const int64_t in_epoch = step % config_.steps_of_epoch() * config_.step_rows() + first;
  const Shuffle order{.seed = uint64_t(config_.train.seed),
                      .site = hash_name("answers"),
                      .epoch = uint64_t(step / config_.steps_of_epoch()),
                      .count = config_.rollout.answers};
  for (int64_t i = 0; i < rows; ++i) made->answers.push_back(order(in_epoch + i));
  return made;
}

int64_t PpoTask::targets(const Examples& examples) const {
  int64_t tokens = 0;
  for (const int64_t a : static_cast<const PpoExamples&>(examples).answers)
    tokens += rollouts_->answers[size_t(a)].answered();
  return tokens;
}

void PpoTask::before_step(int64_t step, Communicator& ranks) {
  const int64_t number = step / config_.steps_of_rollout();
  if (step % config_.steps_of_rollout() == 0) roll_out(number, ranks);
  require(rollouts_->number == number, "step ", step, " learns from rollout ", number, ", but there is ",
          rollouts_->number);
  since_ = steady_seconds();
}

void PpoTask::roll_out(int64_t number, Communicator& ranks) {
  Roller::Seconds seconds;
  auto made = std::make_shared<Rollouts>(roller_.make(number, ranks, seconds));
  seconds_.sampling += seconds.sampling;
  seconds_.scoring += seconds.scoring;
  std::vector<double> scores;
  for (const RolledAnswer& a : made->answers) scores.push_back(a.score);
  scale_.add(scores);
  const double factor = config_.reward.scale == ScoreScale::running ? scale_.factor() : 1;
  const RolloutSums sums = find_advantages(*made, kl_.beta(), factor, config_.reward, config_.policy);
  require<Exit::numerical>(config_.kl.limit == 0 || sums.kl <= config_.kl.limit, "rollout ", number + 1,
                           ": answers are ", sums.kl, " nats from the reference, more than kl.limit ", config_.kl.limit,
                           "; the run ends with its last snapshot. A larger kl.beta, a kl.target or a lower learning "
                           "rate may help");
  rollouts_ = std::move(made);
  show_rollout(sums);
  kl_.update(sums.kl, config_.rollout.answers);
}

void PpoTask::show_rollout(const RolloutSums& s) {
  char text[160];
  std::snprintf(text, sizeof text, "score %.3f | kl %.3f | %.1f tokens an answer", s.score, s.kl, s.length);
  last_rolled_ = text;
  rolled_.scalars = {{"objective/scores", s.score},
                     {"objective/kl", s.kl},
                     {"objective/kl_k3", s.k3},
                     {"objective/entropy", s.entropy},
                     {"objective/non_score_reward", s.price},
                     {"objective/rlhf_reward", s.score + s.price},
                     {"objective/beta", kl_.beta()},
                     {"objective/sampler_difference", s.sampler},
                     {"objective/answer_length", s.length},
                     {"objective/distinct_answers", s.distinct},
                     {"objective/ended_answers", s.ended}};
}

Tensor PpoTask::loss(const Examples& examples, const Pass&) const {
  const std::vector<int64_t>& answers = static_cast<const PpoExamples&>(examples).answers;
  const AnswerRows rows = answer_rows(*rollouts_, answers, (rollouts_->longest() + 15) / 16 * 16);
  // Without dropout, as the answers were sampled and read.
  const Policy::Seen seen =
      policy_.see(to_device(rows.ids, config_.device), to_device(rows.answered, config_.device), {});
  const PpoLoss loss = ppo_loss(seen.log_probs, seen.values,
                                {.old_log_probs = as_tensor(*rollouts_, answers, &RolledToken::log_prob),
                                 .advantages = as_tensor(*rollouts_, answers, &RolledToken::advantage),
                                 .old_values = as_tensor(*rollouts_, answers, &RolledToken::value),
                                 .returns = as_tensor(*rollouts_, answers, &RolledToken::to)},
                                {.clip = config_.policy.clip,
                                 .value_clip = config_.policy.value_clip,
                                 .value_weight = config_.policy.value_weight});
  double entropy = 0;
  for (int64_t i = 0; i < seen.entropies.numel(); ++i) entropy += seen.entropies.as<double>()[i];
  shown_.add({double(rows.answered.count()), loss.policy, loss.value, loss.clipped, loss.value_clipped,
              loss.approximate_kl, loss.ratio, loss.ratio_squared, entropy});
  largest_deviation_ = std::max(largest_deviation_, loss.largest_deviation);
  return loss.total;
}

Shown PpoTask::after_step(Communicator& ranks) {
  const std::vector<double> sums = shown_.take(ranks);
  double largest = std::exchange(largest_deviation_, 0);
  std::vector<double> mean;
  for (const double sum : sums) mean.push_back(sum / sums[0]);
  for (const std::string& of_rank :
       gather(ranks, "the largest ratio", {reinterpret_cast<const char*>(&largest), sizeof largest})) {
    double theirs;
    std::memcpy(&theirs, of_rank.data(), sizeof theirs);
    largest = std::max(largest, theirs);
  }
  learning_ += steady_seconds() - since_;
  const double all = learning_ + seconds_.sampling + seconds_.scoring;
  Shown shown{.text = say(last_rolled_, " | rollout ", std::lround(100 * seconds_.sampling / all), " % scoring ",
                          std::lround(100 * seconds_.scoring / all), " %"),
              .scalars = std::move(std::exchange(rolled_, {}).scalars)};
  const std::vector<Scalar> own{{"loss/policy_avg", mean[1]},
                                {"loss/value_avg", mean[2]},
                                {"policy/clipfrac_avg", mean[3]},
                                {"val/clipfrac_avg", mean[4]},
                                {"policy/approxkl_avg", mean[5]},
                                {"policy/entropy_avg", mean[8]},
                                {"val/ratio", mean[6]},
                                {"val/ratio_var", mean[7] - mean[6] * mean[6]},
                                {"val/largest_ratio_deviation", largest},
                                {"time/rollout", seconds_.sampling / all},
                                {"time/scoring", seconds_.scoring / all},
                                {"time/training", learning_ / all}};
  shown.scalars.insert(shown.scalars.end(), own.begin(), own.end());
  return shown;
}

Validation PpoTask::validate(Communicator& ranks) const {
  const Roller::HeldOut held_out = roller_.judge_held_out(config_.log.evaluate_sequences, ranks);
  char text[120];
  std::snprintf(text, sizeof text, "score %.4f of answers to held-out questions, %.1f tokens each", held_out.score,
                held_out.length);
  return {.loss = -held_out.score,
          .text = text,
          .scalars = {{"validation/scores", held_out.score}, {"validation/answer_length", held_out.length}}};
}

std::vector<std::string> PpoTask::samples(int64_t) const {
  constexpr size_t kMost = 4;
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(kMost, rollouts_->answers.size()); ++i)
    texts.push_back(roller_.show(*rollouts_, int64_t(i)));
  return texts;
}

void PpoTask::check_end() const { roller_.check(); }

void PpoTask::start_from(const std::string& folder, Parameters& parameters) const {
  parameters.initialize(uint64_t(config_.train.seed));
  fill_from(folder, parameters);
  policy_.begin_critic(parameters);
}

void PpoTask::check_snapshot(const std::string& folder) const { require_same_tokenizer(folder, tokenizer_); }

std::function<void(const std::string& folder)> PpoTask::remembered() const {
  return [rollouts = rollouts_, kl = kl_, scale = scale_](const std::string& folder) {
    rollouts->write(folder, kl, scale);
  };
}

void PpoTask::recall(const std::string& folder) {
  rollouts_ = std::make_shared<Rollouts>(Rollouts::read(folder, kl_, scale_, config_.kl));
}

std::function<void(const std::string& folder)> PpoTask::model_texts() const {
  const ModelFolder model{.config = {config_.model, special_ids(tokenizer_)},
                          .dtype = config_.dtype(),
                          .tokenizer = Tokenizer::model_path(config_.data.path).string(),
                          .card = "",
                          .chat_template = ChatTemplate::named(prompts_.info().chat_template).jinja()};
  return [model](const std::string& folder) { write_model_texts(folder, model); };
}

}  // namespace hinoki
