// Recipe "sft": a language model learns to answer (supervised fine-tuning). The loss is over what the assistant says
// and the end of text after it, by position; questions are read and not learned.
#pragma once
#include "train/dialogue.h"
#include "train/recipe.h"
#include "train/sft_config.h"

namespace hinoki {

std::string heading_of(const SftConfig& config);
Plan plan_of(const SftConfig& config);
Throughput throughput_of(const SftConfig& config);  // tokens of rows
double epoch_of(const SftConfig& config);
std::unique_ptr<Task> task_of(const SftConfig& config, Parameters& parameters);

class SftTask final : public Task {
 public:
  SftTask(const SftConfig& config, Parameters& parameters);

  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override;
  Tensor loss(const Examples& examples, const Pass& pass) const override;
  Validation validate(Communicator& ranks) const override;
  std::vector<std::string> samples(int64_t step) const override;  // answers to samples.prompts
  void check_end() const override;
  void check_snapshot(const std::string& folder) const override;
  std::function<void(const std::string& folder)> model_texts() const override;

 private:
  void tell_data() const;
  Dialogue interview(int64_t step) const;

  const SftConfig config_;
  const Tokenizer tokenizer_;
  const ChatCorpus corpus_, validation_corpus_;
  const ChatTemplate template_;
  const ChatRows rows_, validation_;
  std::unique_ptr<CausalLm> model_;
};

// An example for people: what is learned of it stands between ⟦ and ⟧.
std::string show_example(const ChatCorpus& corpus, int64_t example, const Tokenizer& tokenizer);

}  // namespace hinoki
