// Recipe "ctc": a model of speech learns to write down what is said, from transcripts without times (fine-tuning as of
// wav2vec 2.0 and HuBERT). The loss is that of a character: sums over the rows' -log p, divided by their characters, so
// every character of a step weighs the same.
#pragma once
#include "data/speech_batches.h"
#include "models/hubert_ctc.h"
#include "train/ctc_config.h"
#include "train/recipe.h"

namespace hinoki {

std::string heading_of(const CtcConfig& config);
Plan plan_of(const CtcConfig& config);
Throughput throughput_of(const CtcConfig& config);  // seconds of sound, the zeros behind short ones among them
double epoch_of(const CtcConfig& config);
std::unique_ptr<Task> task_of(const CtcConfig& config, Parameters& parameters);

// That of the config's folder, or of the corpus's training split.
CtcVocabulary vocabulary_of(const CtcConfig& config);

class CtcTask final : public Task {
 public:
  CtcTask(const CtcConfig& config, Parameters& parameters);

  // Whole utterances and zeros behind them, masked by the rules.
  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override;
  Tensor loss(const Examples& examples, const Pass& pass) const override;
  // Character errors of greedy decoding; utterances one by one.
  Validation validate(Communicator& ranks) const override;
  std::vector<std::string> samples(int64_t step) const override;  // what was said, and what was recognised
  int64_t learns_from(const Parameter& parameter) const override;
  void start_from(const std::string& folder, Parameters& parameters) const override;
  void check_snapshot(const std::string& folder) const override;
  std::function<void(const std::string& folder)> model_texts() const override;

  const HubertForCtc& model() const { return *model_; }
  const CtcVocabulary& vocabulary() const { return vocabulary_; }

 private:
  SpeechBatches batches(const TranscribedSpeech& speech) const;
  struct Judged;
  Judged judge(int64_t n) const;  // the n-th utterance of the validation
  std::string recognised(const Tensor& logits) const;
  Tensor logits_of(int64_t n) const;
  void tell_data() const;

  const CtcConfig config_;
  const SpeechCorpus corpus_, validation_corpus_;
  const CtcVocabulary vocabulary_;
  const TranscribedSpeech speech_, validation_speech_;
  const SpeechBatches batches_, validation_;
  std::unique_ptr<HubertForCtc> model_;
};

}  // namespace hinoki
