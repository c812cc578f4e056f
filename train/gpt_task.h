// Recipe "gpt": a causal language model learns the next token of Japanese text.
#pragma once
#include "data/batches.h"
#include "data/tokenizer.h"
#include "models/generation.h"
#include "train/gpt_config.h"
#include "train/recipe.h"

namespace hinoki {

std::string heading_of(const GptConfig& config);
Plan plan_of(const GptConfig& config);
Throughput throughput_of(const GptConfig& config);  // tokens
double epoch_of(const GptConfig& config);
std::unique_ptr<Task> task_of(const GptConfig& config, Parameters& parameters);

class GptTask final : public Task {
 public:
  GptTask(const GptConfig& config, Parameters& parameters);

  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override;
  Tensor loss(const Examples& examples, const Pass& pass) const override;
  Validation validate(Communicator& ranks) const override;
  std::vector<std::string> samples(int64_t step) const override;  // a function of the seed and the step
  void check_end() const override;
  void check_snapshot(const std::string& folder) const override;
  std::function<void(const std::string& folder)> model_texts() const override;

 private:
  struct HeldOut {
    CorpusConfig of;
    std::unique_ptr<TokenCorpus> split;  // for validation
  };

  std::optional<int32_t> border() const;  // the token that attention does not cross, if documents do not see each other
  std::vector<int32_t> prompt_ids(const std::string& prompt) const;
  GenerationOptions sample_options(int64_t step) const;

  const GptConfig config_;
  const Tokenizer tokenizer_;
  std::vector<std::unique_ptr<TokenCorpus>> corpora_;
  std::vector<HeldOut> held_out_;
  std::optional<Batches> batches_;
  std::unique_ptr<CausalLm> model_;
};

}  // namespace hinoki
