#include "models/generation.h"

#include <algorithm>
#include <utility>

#include "models/token_lines.h"

namespace hinoki {
namespace {

constexpr int64_t kTokensOfPass = 4096;  // of prompts, padded, that go through the model together

// Tokens that a prompt may become.
int64_t room(const CausalLm& model, std::span<const int32_t> prompt, const GenerationOptions& options) {
  const int64_t positions = model.max_positions(), length = int64_t(prompt.size());
  return std::max(length, std::min(positions, length + std::min(positions, options.max_tokens)));
}

class GrowingTexts {
 public:
  GrowingTexts(const CausalLm& model, std::span<const std::vector<int32_t>> prompts, const GenerationOptions& options,
               int64_t first_sample, const Emit& emit)
      : model_(model),
        prompts_(prompts),
        options_(options),
        first_sample_(first_sample),
        emit_(emit),
        results_(prompts.size()),
        free_(size_t(options.lines > 0 ? std::min(options.lines, int64_t(prompts.size())) : int64_t(prompts.size()))),
        lines_(model, options.sampling, int64_t(free_.size()), longest(), options.usable_vocab) {
    for (size_t i = 0; i < free_.size(); ++i) free_[i] = int32_t(free_.size() - 1 - i);
  }

  std::vector<Generated> run() {
    while (waiting_ < prompts_.size() || !growing_.empty()) {
      while (waiting_ < prompts_.size() && !free_.empty()) admit();
      std::vector<TokenLines::Growth> rows;
      for (const Growing& g : growing_)
        rows.push_back({g.line, {&results_[g.prompt].tokens.back(), 1}, first_sample_ + int64_t(g.prompt)});
      take(std::exchange(growing_, {}), lines_.grow(rows, options_.log_probabilities));
    }
    return std::move(results_);
  }

 private:
  struct Growing {
    size_t prompt;
    int32_t line;
  };

  int64_t longest() const {
    int64_t most = 0;
    for (const auto& prompt : prompts_) most = std::max(most, room(model_, prompt, options_));
    return most;
  }

  // The next prompts that are waiting, in one pass: as many as there are lines and as fit into it.
  void admit() {
    std::vector<Growing> entering;
    std::vector<TokenLines::Growth> rows;
    size_t longest = 0;
    while (waiting_ < prompts_.size() && !free_.empty()) {
      const std::vector<int32_t>& prompt = prompts_[waiting_];
      longest = std::max(longest, prompt.size());
      if (!rows.empty() && int64_t(longest * (rows.size() + 1)) > kTokensOfPass) break;
      lines_.cut(free_.back(), 0);
      entering.push_back({waiting_, free_.back()});
      rows.push_back({free_.back(), prompt, first_sample_ + int64_t(waiting_)});
      free_.pop_back();
      ++waiting_;
    }
    take(std::move(entering), lines_.grow(rows, options_.log_probabilities));
  }

  // Rows that have ended leave, the others stay in their order.
  void take(std::vector<Growing> rows, const std::vector<TokenLines::Drawn>& drawn) {
    for (size_t i = 0; i < rows.size(); ++i) {
      if (goes_on(rows[i].prompt, drawn[i]))
        growing_.push_back(rows[i]);
      else
        free_.push_back(rows[i].line);
    }
  }

  bool goes_on(size_t prompt, const TokenLines::Drawn& drawn) {
    Generated& result = results_[prompt];
    result.tokens.push_back(drawn.token);
    if (options_.log_probabilities) result.log_probabilities.push_back(drawn.log_probability);
    const bool wanted = !emit_ || emit_(prompt, drawn.token);
    const auto made = int64_t(result.tokens.size()), length = int64_t(prompts_[prompt].size()) + made;
    const auto ends = [&](bool ended, Ending how) {
      if (ended) result.ending = how;
      return ended;
    };
    return !(ends(drawn.token == options_.end, Ending::end_token) || ends(!wanted, Ending::stopped) ||
             ends(made >= options_.max_tokens, Ending::most_tokens) ||
             ends(length >= model_.max_positions(), Ending::no_positions));
  }

  const CausalLm& model_;
  std::span<const std::vector<int32_t>> prompts_;
  const GenerationOptions& options_;
  int64_t first_sample_;
  const Emit& emit_;
  std::vector<Generated> results_;
  std::vector<int32_t> free_;
  TokenLines lines_;
  std::vector<Growing> growing_;
  size_t waiting_ = 0;
};

}  // namespace

const char* name_of(Ending ending) {
  constexpr const char* names[] = {"end_token", "stopped", "most_tokens", "no_positions"};
  return names[size_t(ending)];
}

void GenerationOptions::check() const {
  sampling.check();
  require<Exit::usage>(max_tokens >= 0, "generate: ", max_tokens, " new tokens are negative");
  require<Exit::usage>(lines >= 0, "generate: ", lines, " sequences at a time are negative");
}

void check_generation(const CausalLm& model, std::span<const int32_t> prompt, const GenerationOptions& options) {
  options.check();
  require<Exit::usage>(!prompt.empty(), "generate: the prompt has no tokens; give some text or a begin-of-text id");
  require<Exit::usage>(int64_t(prompt.size()) < model.max_positions() || options.max_tokens == 0,
                       "generate: the prompt has ", prompt.size(), " tokens, the model's positions end at ",
                       model.max_positions(), "; give a shorter one");
  const int64_t vocabulary = model.head().size(0);
  for (const int32_t id : prompt)
    require<Exit::usage>(0 <= id && id < vocabulary, "generate: token id ", id, " is not in the model's vocabulary of ",
                         vocabulary);
}

std::vector<Generated> generate_batch(const CausalLm& model, std::span<const std::vector<int32_t>> prompts,
                                      const GenerationOptions& options, int64_t first_sample, const Emit& emit) {
  for (const auto& prompt : prompts) check_generation(model, prompt, options);
  if (options.max_tokens == 0) return std::vector<Generated>(prompts.size());
  return GrowingTexts(model, prompts, options, first_sample, emit).run();
}

std::vector<int32_t> generate(const CausalLm& model, const std::vector<int32_t>& prompt,
                              const GenerationOptions& options, const std::function<bool(int32_t)>& emit) {
  const auto one = [&](size_t, int32_t id) { return !emit || emit(id); };
  return generate_batch(model, {&prompt, 1}, options, 0, one)[0].tokens;
}

}  // namespace hinoki
