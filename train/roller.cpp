#include "train/roller.h"

#include <cmath>

#include "core/base/clock.h"
#include "data/order.h"
#include "train/evaluation.h"

namespace hinoki {
namespace {

// Time is padded to whole blocks, so that rollouts share few shapes.
int64_t row_length(int64_t longest) { return (longest + 15) / 16 * 16; }

}  // namespace

Prompts::Prompts(const PromptConfig& config, const std::string& split, const std::string& tokenizer_hash) {
  const ChatCorpus corpus(config.path, split, "", tokenizer_hash);
  info_ = corpus.info();
  const int64_t step = info_.kind == kPreferences ? 2 : 1;  // both answers of a preference have one question
  for (int64_t i = 0; i < corpus.count(); i += step) {
    require<Exit::data>(!corpus.answers(i).empty() && corpus.answers(i).back().begin > 0, corpus.path(), ": example ",
                        i, " has no question");
    const std::span<const int32_t> question = corpus.ids(i).first(size_t(corpus.answers(i).back().begin));
    const auto length = int64_t(question.size());
    require<Exit::data>(length <= config.longest || config.overlong != Overlong::refuse, corpus.path(), ": the question of ",
                        "example ", i, " has ", length, " tokens, more than data.longest ", config.longest,
                        "; set that to more, or data.overlong to \"drop\" or \"truncate\"");
    const bool fits = length <= config.longest;
    dropped_ += !fits && config.overlong == Overlong::drop;
    truncated_ += !fits && config.overlong == Overlong::truncate;
    if (!fits && config.overlong == Overlong::drop) continue;
    const auto kept = question.last(size_t(std::min(length, config.longest)));
    ids_.emplace_back(kept.begin(), kept.end());
  }
  require<Exit::data>(!ids_.empty(), corpus.path(), ": holds no question of up to ", config.longest, " tokens");
}

AnswerRows answer_rows(const Rollouts& rollouts, std::span<const int64_t> answers, int64_t time) {
  const std::vector<Rollouts::Place> places = rollouts.places();
  const Tensor ids = zeros({int64_t(answers.size()), time}, DType::i32);
  std::vector<int32_t> rows, labels;
  for (size_t i = 0; i < answers.size(); ++i) {
    const RolledAnswer& a = rollouts.answers[size_t(answers[i])];
    const int32_t* const of = rollouts.ids.data() + places[size_t(answers[i])].ids;
    std::copy_n(of, a.tokens, ids.as<int32_t>() + int64_t(i) * time);
    for (int64_t t = a.prompt; t < a.tokens; ++t) {
      rows.push_back(int32_t(int64_t(i) * time + t - 1));
      labels.push_back(of[t]);
    }
  }
  const Shape shape{int64_t(rows.size())};
  return {ids, {from_values<int32_t>(shape, rows), from_values<int32_t>(shape, labels)}};
}

Roller::Roller(const PpoConfig& config, const Tokenizer& tokenizer, const Prompts& prompts, const Prompts& held_out,
               const Policy& policy, const Reference& reference)
    : config_(config),
      tokenizer_(tokenizer),
      prompts_(prompts),
      held_out_(held_out),
      policy_(policy),
      reference_(reference),
      scorer_(make_text_scorer(config.reward)) {
  if (!scorer_) reward_model_.emplace(config.reward.model, tokenizer, config);
}

// The distribution that is scored, and no other: what is cut from its tail would be missing in the ratio.
GenerationOptions Roller::sampling(uint64_t seed) const {
  return {.sampling = {.seed = seed},
          .max_tokens = config_.rollout.tokens,
          .end = tokenizer_.eos(),
          .usable_vocab = tokenizer_.size(),
          .log_probabilities = true};
}

void Roller::check() const {
  for (const Prompts* some : {&prompts_, &held_out_})
    for (int64_t i = 0; i < some->count(); ++i) check_generation(policy_.model(), (*some)[i], sampling(0));
}

Rollouts Roller::sample(std::span<const std::vector<int32_t>> questions, uint64_t seed, int64_t first_sample) const {
  const NoGrad no_grad;
  Rollouts made;
  const auto all = generate_batch(policy_.model(), questions, sampling(seed), first_sample);
  for (size_t i = 0; i < all.size(); ++i) {
    const Generated& g = all[i];
    made.answers.push_back({.tokens = int64_t(questions[i].size() + g.tokens.size()),
                            .prompt = int64_t(questions[i].size()),
                            .ended = g.ending == Ending::end_token});
    made.ids.insert(made.ids.end(), questions[i].begin(), questions[i].end());
    made.ids.insert(made.ids.end(), g.tokens.begin(), g.tokens.end());
    for (const float p : g.log_probabilities) made.tokens.push_back({.sampler = double(p)});
  }
  return made;
}

void Roller::score(Rollouts& rollouts) const {
  const std::vector<Rollouts::Place> places = rollouts.places();
  std::vector<Answered> texts;
  std::vector<std::vector<int32_t>> tokens;
  for (size_t i = 0; i < rollouts.answers.size(); ++i) {
    const RolledAnswer& a = rollouts.answers[i];
    const std::span<const int32_t> ids(rollouts.ids.data() + places[i].ids, size_t(a.tokens));
    if (!scorer_) {
      tokens.emplace_back(ids.begin(), ids.end());
      continue;
    }
    const auto answer = ids.subspan(size_t(a.prompt), size_t(a.answered() - a.ended));
    texts.push_back({.prompt = tokenizer_.decode(ids.first(size_t(a.prompt))),
                     .answer = tokenizer_.decode(answer),
                     .ended = a.ended != 0});
  }
  const std::vector<double> scores = scorer_ ? scorer_->score(texts) : reward_model_->score(tokens);
  for (size_t i = 0; i < scores.size(); ++i) {
    RolledAnswer& a = rollouts.answers[i];
    a.score = scores[i] - (a.ended ? 0 : config_.reward.missing_end);
    require<Exit::numerical>(std::isfinite(a.score), "the score of an answer is ", a.score);
  }
}

// As the training steps will read them: the first ratio is exactly 1.
void Roller::read(Rollouts& rollouts, int64_t time) const {
  const NoGrad no_grad;
  const auto count = int64_t(rollouts.answers.size());
  RolledToken* out = rollouts.tokens.data();
  for (int64_t first = 0; first < count; first += config_.train.batch) {
    std::vector<int64_t> some;
    for (int64_t i = first; i < std::min(count, first + config_.train.batch); ++i) some.push_back(i);
    AnswerRows rows = answer_rows(rollouts, some, time);
    rows = {to_device(rows.ids, config_.device), to_device(rows.answered, config_.device)};
    const Policy::Seen seen = policy_.see(rows.ids, rows.answered, {});
    const Tensor values = cast(to_device(seen.values, Device::cpu), DType::f64);
    const Tensor before = reference_([&](const CausalLm& model) {
      return linear_log_probs(model.hidden_rows(rows.ids, {}, rows.answered.rows, {}), model.head(),
                              rows.answered.labels);
    });
    for (int64_t t = 0; t < rows.answered.count(); ++t, ++out) {
      out->log_prob = seen.log_probs.as<double>()[t];
      out->entropy = seen.entropies.as<double>()[t];
      out->value = values.as<double>()[t];
      out->reference = before.as<double>()[t];
    }
  }
}

Rollouts Roller::make(int64_t number, Communicator& ranks, Seconds& seconds) const {
  const int64_t all = config_.rollout.answers;
  const int64_t begin = all * ranks.rank() / ranks.size(), end = all * (ranks.rank() + 1) / ranks.size();
  std::vector<std::vector<int32_t>> questions;
  for (int64_t position = number * all + begin; position < number * all + end; ++position) {
    const Shuffle order{.seed = uint64_t(config_.train.seed),
                        .site = hash_name("prompts"),
                        .epoch = uint64_t(position / prompts_.count()),
                        .count = prompts_.count()};
    questions.push_back(prompts_[order(position % prompts_.count())]);
  }
  const double start = steady_seconds();
  Rollouts mine;
  int64_t longest = 0;
  together(ranks, "sampling answers", [&] {
    mine = sample(questions, uint64_t(config_.train.seed), number * all + begin);
    longest = mine.longest();
  });
  for (const std::string& of_rank : gather(ranks, "the longest answer", std::to_string(longest)))
    longest = std::max<int64_t>(longest, std::stoll(of_rank));
  const double sampled = steady_seconds();
  together(ranks, "scoring answers", [&] {
    score(mine);
    read(mine, row_length(longest));
  });
  mine.gather(ranks);
  mine.number = number;
  seconds = {.sampling = sampled - start, .scoring = steady_seconds() - sampled};
  return mine;
}

Roller::HeldOut Roller::judge_held_out(int64_t count, Communicator& ranks) const {
  count = count ? std::min(count, held_out_.count()) : held_out_.count();
  const int64_t batch = config_.train.batch;
  // Corpora are often sorted by kind: the questions are drawn, the same ones every time.
  const Shuffle order{.site = hash_name("held-out questions"), .count = held_out_.count()};
  std::vector<double> scores, lengths;
  for (int64_t i = ranks.rank() * batch; i < count; i += ranks.size() * batch) {
    std::vector<std::vector<int32_t>> questions;
    for (int64_t q = i; q < std::min(count, i + batch); ++q) questions.push_back(held_out_[order(q)]);
    Rollouts some = sample(questions, uint64_t(config_.train.seed) ^ hash_name("held out"), i);
    score(some);
    scores.push_back(0), lengths.push_back(0);
    for (const RolledAnswer& a : some.answers) scores.back() += a.score, lengths.back() += double(a.answered());
  }
  const int64_t batches = (count + batch - 1) / batch;
  return {.score = sum_in_order(ranks, scores, batches) / double(count),
          .length = sum_in_order(ranks, lengths, batches) / double(count)};
}

std::string Roller::show(const Rollouts& rollouts, int64_t answer) const {
  const RolledAnswer& a = rollouts.answers[size_t(answer)];
  const std::span<const int32_t> ids(rollouts.ids.data() + rollouts.places()[size_t(answer)].ids, size_t(a.tokens));
  return say(tokenizer_.decode(ids.first(size_t(a.prompt))), "⟦",
             tokenizer_.decode(ids.subspan(size_t(a.prompt), size_t(a.answered() - a.ended))),
             a.ended ? tokenizer_.piece(tokenizer_.eos()) : "", "⟧ scores ", a.score);
}

}  // namespace hinoki
