// Pairs of a chosen and a rejected answer, as reward models and direct preference optimisation read them.
#pragma once
#include "data/chat_rows.h"
#include "models/labelled_rows.h"
#include "train/batch.h"
#include "train/preference_config.h"
#include "train/shown_sums.h"
#include "train/task.h"

namespace hinoki {

// Some rows with their pairs, in the order of places: chosen and rejected in turns. Places count through the flattened
// ids of the batch.
struct PairExamples : Examples {  // its targets are pairs
  Batch batch;
  Tensor last;                       // i32 [2 * pairs]: where each text ends
  LabelledRows answers;              // of all texts
  std::vector<int64_t> answer_ends;  // where each text's end among them
};
PairExamples to_device(const PairExamples& examples, Device device);

class PreferencePairs {
 public:
  // `ended`: with the end of the text behind each answer.
  PreferencePairs(const PreferenceConfig& config, const std::string& tokenizer_hash, bool ended);

  std::unique_ptr<PairExamples> examples(int64_t step, int64_t first, int64_t rows) const;

  // What held-out pairs show: `judge` gives the summed loss of some of them, and the reward of each of their texts.
  struct Judged {
    Tensor loss;  // [] in f64
    std::vector<double> rewards;
  };
  Validation validate(Communicator& ranks, const std::function<Judged(const PairExamples&)>& judge) const;
  const ChatCorpus& corpus() const { return corpus_; }
  void tell() const;  // people what there is
  double tokens() const { return double(rows_.count() * rows_.rules().length); }

 private:
  std::unique_ptr<PairExamples> make(const ChatRows& from, std::span<const int64_t> rows) const;

  const PreferenceConfig config_;
  const ChatCorpus corpus_, validation_corpus_;
  const ChatRows rows_, validation_;
};

// Sums over pairs, of a reward for each text: chosen, rejected, pairs whose chosen one has the higher reward, pairs.
std::vector<double> pair_sums(std::span<const double> rewards);
// Of such sums, rewards/chosen, rewards/rejected, rewards/margins and rewards/accuracies, as TRL names them.
Shown show_pairs(const std::string& prefix, std::span<const double> sums);

}  // namespace hinoki
