// Scores by a reward model, and whichever scorer a config asks for.
#pragma once
#include <memory>

#include "data/chat_template.h"
#include "models/hugging_face.h"
#include "train/ppo_config.h"
#include "train/scorer.h"

namespace hinoki {

// The policy's tokens as the reward model reads them: their end of the text is made good where it is missing.
class ModelScorer {
 public:
  // Exit::usage where the folder holds no reward model, or one of another tokenizer.
  ModelScorer(const std::string& folder, const Tokenizer& tokenizer, const RunConfig& config);
  std::vector<double> score(std::span<const std::vector<int32_t>> texts) const;

 private:
  const LoadedRewardModel loaded_;
  const int32_t end_;
  const int64_t batch_;
};

// Exit::usage on what the config cannot have: rules that do not compile, programs that do not start.
std::unique_ptr<Scorer> make_text_scorer(const ScoringConfig& config);

}  // namespace hinoki
