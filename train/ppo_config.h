// The config of recipe "ppo": what configs/ppo_*.toml may say. Without [model] the model is that of start_from.
#pragma once
#include "train/preference_config.h"
#include "train/rule_scorer.h"

namespace hinoki {

// Where questions come from: what `hinoki data chat` or `hinoki data preferences` made, up to each last answer.
struct PromptConfig {
  std::string path = {};
  int64_t longest = 128;                 // tokens of a question
  Overlong overlong = Overlong::refuse;  // longer ones

  template <class Visitor>
  void fields(Visitor& v) {
    v("path", path, required);
    v("longest", longest, Range{1, 1 << 20});
    v("overlong", overlong);
  }
};

struct RolloutConfig {
  int64_t answers = 64;  // that are sampled at a time, by all ranks together
  int64_t tokens = 64;   // of an answer, at most
  int64_t epochs = 4;    // how often they are learned from

  template <class Visitor>
  void fields(Visitor& v) {
    v("answers", answers, Range{1, 1 << 20});
    v("tokens", tokens, Range{1, 1 << 20});
    v("epochs", epochs, Range{1, 1000});
  }
};

// How scores are scaled before they are clipped: not at all, or by their standard deviation so far.
enum class ScoreScale { none, running };
constexpr auto enum_names(ScoreScale) { return std::array{"none", "running"}; }

struct ScoringConfig {
  std::string model = {};               // the folder of a reward model (recipe "reward"),
  std::string program = {};             // or a command that scores answers line by line (docs/chat.md),
  double program_seconds = 60;          // in which it must have answered a batch,
  std::vector<RewardRule> rules = {};   // or rules
  double missing_end = 0;               // taken off the score of an answer that was cut off
  ScoreScale scale = ScoreScale::none;
  double clip = 10;                     // of the scaled score, on both sides; 0: off

  template <class Visitor>
  void fields(Visitor& v) {
    v("model", model);
    v("program", program);
    v("program_seconds", program_seconds, Range{0.01, 1e6});
    v("rules", rules);
    v("missing_end", missing_end, Range{0});
    v("scale", scale);
    v("clip", clip, Range{0});
  }
  void check() const {
    const int given = !model.empty() + !program.empty() + !rules.empty();
    require<Exit::usage>(given == 1, "reward: give one of model, program and rules; ", given, " are given");
  }
};

// The price of leaving the model that training began with.
struct KlConfig {
  double beta = 0.05;      // of a nat
  double target = 0;       // nats an answer that beta is steered to (Ziegler et al. 2019); 0: beta stays
  double horizon = 10000;  // answers
  double limit = 0;        // nats an answer at which the run ends; 0: none

  template <class Visitor>
  void fields(Visitor& v) {
    v("beta", beta, Range{0});
    v("target", target, Range{0});
    v("horizon", horizon, Range{1});
    v("limit", limit, Range{0});
  }
};

enum class Critic { shared, separate };  // the value's map stands on the policy's layers, or on layers of its own
constexpr auto enum_names(Critic) { return std::array{"shared", "separate"}; }

struct PolicyConfig {
  double gamma = 1, lambda = 0.95;  // of advantages
  double clip = 0.2, value_clip = 0.2, value_weight = 0.1;
  bool whiten_rewards = false;
  Critic critic = Critic::shared;

  template <class Visitor>
  void fields(Visitor& v) {
    v("gamma", gamma, Range{0, 1});
    v("lambda", lambda, Range{0, 1});
    v("clip", clip, Range{0, 1});
    v("value_clip", value_clip, Range{0});
    v("value_weight", value_weight, Range{0});
    v("whiten_rewards", whiten_rewards);
    v("critic", critic);
  }
};

struct PpoConfig : RunConfig {
  ModelConfig model;
  PromptConfig data;
  RolloutConfig rollout;
  ScoringConfig reward;
  KlConfig kl;
  PolicyConfig policy;

  PpoConfig() {
    recipe = "ppo";
    run = "runs/ppo";
    train.batch = 16;
    learning_rate = {.peak = 1e-5, .floor = 0, .warmup = 0, .decay = Decay::constant};
    optimizer.weight_decay = 0;
  }
  template <class Visitor>
  void fields(Visitor& v) {
    visit_place(v);
    v("model", model);
    v("lora", lora);
    v("data", data, required);
    v("rollout", rollout);
    v("reward", reward, required);
    v("kl", kl);
    v("policy", policy);
    visit_training(v);
  }
  void check() const {
    RunConfig::check();
    require<Exit::usage>(!start_from.empty(),
                         "start_from: name the model that learned to answer (recipe \"sft\"); it is the reference, too");
    require<Exit::usage>(longest() <= model.max_positions(), "data.longest ", data.longest, " and rollout.tokens ",
                         rollout.tokens, " are together longer than the model's ", model.max_positions(), " positions");
    require<Exit::usage>(rollout.answers % step_rows() == 0, "rollout.answers ", rollout.answers,
                         " is not a multiple of train.batch x train.micro_batches = ", step_rows(),
                         ", which a step learns from");
    require<Exit::usage>(!guard.rewinds(), "guard.policy = \"rewind\" is not for recipe \"ppo\", whose data is made as "
                         "it goes; kl.limit ends a run that has gone astray");
    require<Exit::usage>(policy.critic == Critic::shared || !adapts(),
                         "policy.critic = \"separate\" needs all weights to learn; with lora.rank it is \"shared\"");
    if (kl.target > 0)
      require<Exit::usage>(kl.horizon >= double(rollout.answers), "kl.horizon ", kl.horizon,
                           " is less than rollout.answers ", rollout.answers, ": beta would jump");
  }
  int64_t longest() const { return data.longest + rollout.tokens; }  // a row
  int64_t steps_of_epoch() const { return rollout.answers / step_rows(); }
  int64_t steps_of_rollout() const { return steps_of_epoch() * rollout.epochs; }
};

}  // namespace hinoki
