// Answers that a policy has sampled, with all that is known of them: what proximal policy optimisation learns from. All
// ranks hold all of them, and snapshots keep them, so that a run that was stopped among its steps goes on with the same
// bits.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "train/communicator.h"
#include "train/ppo_config.h"
#include "train/ppo_math.h"

namespace hinoki {

struct RolledAnswer {
  int64_t tokens = 0, prompt = 0;  // of question and answer together, of the question
  int64_t ended = 0;               // the end of the text came
  double score = 0;                // as it was given, less what a missing end costs
  int64_t answered() const { return tokens - prompt; }
};
// Of a token of an answer.
struct RolledToken {
  double log_prob = 0, reference = 0;  // of it, by the policy that sampled it and by the reference
  double value = 0, entropy = 0;       // at the place before it
  double sampler = 0;                  // its log-probability as the sampler saw it
  double advantage = 0, to = 0;        // set by find_advantages; `to`: what its value should have been
};

struct Rollouts {
  int64_t number = -1;  // of the rollout in its run
  std::vector<RolledAnswer> answers;
  std::vector<int32_t> ids;         // of all answers with their questions, one after the other
  std::vector<RolledToken> tokens;  // of all answers, one after the other

  // What follows from the lengths.
  struct Place {
    int64_t ids, tokens;  // where an answer's begin
  };
  std::vector<Place> places() const;
  int64_t longest() const;  // with its question

  // What all ranks have made, in the order of ranks.
  void gather(Communicator& ranks);

  void write(const std::string& folder, const KlController& kl, const RunningScale& scale) const;
  // Exit::snapshot where something is missing or does not fit together.
  static Rollouts read(const std::string& folder, KlController& kl, RunningScale& scale, const KlConfig& config);
};

// What a rollout was worth, means over its answers unless said.
struct RolloutSums {
  double kl = 0, k3 = 0;             // nats, of log(policy / reference): as the price counts it, and never negative
  double entropy = 0;                // of a token
  double score = 0, price = 0;       // price: - beta * kl
  double ended = 0, length = 0;
  double sampler = 0;                // largest |log-probability of the sampler - of the scoring pass|, of a token
  double distinct = 0;               // share of answers that no other one is equal to
};

// Rewards, advantages and returns of all tokens, with `scale` and the price of `beta`.
RolloutSums find_advantages(Rollouts& rollouts, double beta, double scale, const ScoringConfig& scoring,
                            const PolicyConfig& policy);

}  // namespace hinoki
