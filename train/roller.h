// Makes rollouts: samples answers to questions, reads them once more with the kernels that train, and has them scored.
#pragma once
#include <optional>

#include "data/chat_corpus.h"
#include "models/generation.h"
#include "train/model_scorer.h"
#include "train/policy.h"
#include "train/reference.h"
#include "train/rollouts.h"

namespace hinoki {

// Questions of a chat corpus.
class Prompts {
 public:
  Prompts(const PromptConfig& config, const std::string& split, const std::string& tokenizer_hash);
  int64_t count() const { return int64_t(ids_.size()); }
  const std::vector<int32_t>& operator[](int64_t i) const { return ids_[size_t(i)]; }
  int64_t dropped() const { return dropped_; }
  int64_t truncated() const { return truncated_; }
  const ChatCorpusInfo& info() const { return info_; }

 private:
  ChatCorpusInfo info_;
  std::vector<std::vector<int32_t>> ids_;
  int64_t dropped_ = 0, truncated_ = 0;
};

// The rows of some answers, as the policy reads them: ids [answers, time], and the places before each answer's tokens.
struct AnswerRows {
  Tensor ids;
  LabelledRows answered;
};
AnswerRows answer_rows(const Rollouts& rollouts, std::span<const int64_t> answers, int64_t time);

class Roller {
 public:
  // All live as long.
  Roller(const PpoConfig& config, const Tokenizer& tokenizer, const Prompts& prompts, const Prompts& held_out,
         const Policy& policy, const Reference& reference);

  struct Seconds {
    double sampling = 0, scoring = 0;
  };
  // Rollout number `number` of the run: all ranks share the work, and all get all of it. The sample of an answer is a
  // function of the seed and of how many came before it, whichever rank makes it.
  Rollouts make(int64_t number, Communicator& ranks, Seconds& seconds) const;
  // The mean score of answers to `count` of the questions that are held out (0: all), dealt to the ranks, and their
  // length.
  struct HeldOut {
    double score, length;
  };
  HeldOut judge_held_out(int64_t count, Communicator& ranks) const;
  // An answer with its question and score, for people.
  std::string show(const Rollouts& rollouts, int64_t answer) const;
  // Exit::usage where a question leaves no room for an answer.
  void check() const;

 private:
  GenerationOptions sampling(uint64_t seed) const;
  Rollouts sample(std::span<const std::vector<int32_t>> questions, uint64_t seed, int64_t first_sample) const;
  void score(Rollouts& rollouts) const;
  void read(Rollouts& rollouts, int64_t time) const;

  const PpoConfig& config_;
  const Tokenizer& tokenizer_;
  const Prompts &prompts_, &held_out_;
  const Policy& policy_;
  const Reference& reference_;
  std::unique_ptr<Scorer> scorer_;             // of texts
  std::optional<ModelScorer> reward_model_;    // of tokens, without it
};

}  // namespace hinoki
