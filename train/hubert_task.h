// Recipe "hubert": a model of speech learns to tell the clusters of frames that it cannot see (Hsu et al. 2021).
#pragma once
#include "train/hubert_examples.h"
#include "train/recipe.h"

namespace hinoki {

std::string heading_of(const HubertConfig& config);
Plan plan_of(const HubertConfig& config);
Throughput throughput_of(const HubertConfig& config);  // seconds of sound, the zeros behind short ones among them
double epoch_of(const HubertConfig& config);
std::unique_ptr<Task> task_of(const HubertConfig& config, Parameters& parameters);

class HubertTask final : public Task {
 public:
  HubertTask(const HubertConfig& config, Parameters& parameters);

  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override;
  Tensor loss(const Examples& examples, const Pass& pass) const override;
  Validation validate(Communicator& ranks) const override;
  void start_from(const std::string& folder, Parameters& parameters) const override;
  void check_snapshot(const std::string& folder) const override;
  std::function<void(const std::string& folder)> model_texts() const override;

  const HubertForPretraining& model() const { return *model_; }

 private:
  void tell_data() const;

  const HubertConfig config_;
  const SpeechCorpus corpus_, validation_corpus_;
  const LabelCorpus labels_, validation_labels_;
  const HubertExamples examples_, validation_;
  std::unique_ptr<HubertForPretraining> model_;
};

}  // namespace hinoki
