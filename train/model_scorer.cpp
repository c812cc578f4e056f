#include "train/model_scorer.h"

#include "train/model_folder.h"
#include "train/program_scorer.h"

namespace hinoki {

ModelScorer::ModelScorer(const std::string& folder, const Tokenizer& tokenizer, const RunConfig& config)
    : loaded_((require_model_folder(folder, {}), load_reward_model(folder, config.device, config.dtype()))),
      end_(tokenizer.eos()),
      batch_(config.train.batch) {
  const Tokenizer own = Tokenizer::load(folder);
  require<Exit::usage>(own.hash() == tokenizer.hash(), "reward.model ", folder, ": reads the tokens of ", own.hash(),
                       ", the policy writes those of ", tokenizer.hash(),
                       "; train a reward model on data of the policy's tokenizer");
}

std::vector<double> ModelScorer::score(std::span<const std::vector<int32_t>> texts) const {
  const NoGrad no_grad;
  std::vector<double> scores;
  for (size_t first = 0; first < texts.size(); first += size_t(batch_)) {
    const auto some = texts.subspan(first, std::min(size_t(batch_), texts.size() - first));
    size_t longest = 0;
    for (const std::vector<int32_t>& ids : some) longest = std::max(longest, ids.size() + (ids.back() != end_));
    require<Exit::usage>(int64_t(longest) <= loaded_.config.model.max_positions(), "reward.model reads ",
                         loaded_.config.model.max_positions(), " tokens at most; an answer and its question have ",
                         longest);
    std::vector<int32_t> ids(some.size() * longest), last;
    for (size_t i = 0; i < some.size(); ++i) {
      const auto row = ids.begin() + int64_t(i * longest);
      const auto behind = std::copy(some[i].begin(), some[i].end(), row);
      const bool whole = some[i].back() == end_;
      if (!whole) *behind = end_;
      last.push_back(int32_t(i * longest + some[i].size()) - int32_t(whole));
    }
    const Device device = loaded_.model->device();
    const Tensor rows = from_values<int32_t>({int64_t(some.size()), int64_t(longest)}, ids);
    const Tensor rewards = (*loaded_.model)(to_device(rows, device), {},
                                            to_device(from_values<int32_t>({int64_t(last.size())}, last), device), {});
    const Tensor here = cast(to_device(rewards, Device::cpu), DType::f64);
    scores.insert(scores.end(), here.as<double>(), here.as<double>() + here.numel());
  }
  return scores;
}

std::unique_ptr<Scorer> make_text_scorer(const ScoringConfig& config) {
  if (!config.program.empty()) return std::make_unique<ProgramScorer>(config.program, config.program_seconds);
  if (!config.rules.empty()) return std::make_unique<RuleScorer>(config.rules);
  return nullptr;
}

}  // namespace hinoki
