#include "train/preference_pairs.h"

#include <cmath>
#include <numeric>

#include "core/base/log.h"
#include "train/evaluation.h"
#include "train/progress.h"

namespace hinoki {
namespace {

ChatRowRules rules_of(const PreferenceConfig& config, bool ended) {
  ChatRowRules rules = config.data.rules();
  rules.ended = ended;
  return rules;
}

}  // namespace

PairExamples to_device(const PairExamples& examples, Device device) {
  PairExamples there = examples;
  there.batch = to_device(examples.batch, device);
  there.last = to_device(examples.last, device);
  there.answers = to_device(examples.answers, device);
  return there;
}

PreferencePairs::PreferencePairs(const PreferenceConfig& config, const std::string& tokenizer_hash, bool ended)
    : config_(config),
      corpus_(config.data.path, "train", kPreferences, tokenizer_hash),
      validation_corpus_(config.data.path, "validation", kPreferences, tokenizer_hash),
      rows_(corpus_, rules_of(config, ended), uint64_t(config.train.seed)),
      validation_(validation_corpus_, rules_of(config, ended), 0) {}

void PreferencePairs::tell() const {
  inform("preferences: ", corpus_.count() / 2, " pairs in ", rows_.count(), " rows of ", config_.data.sequence,
         " tokens (", std::lround(100 * rows_.filled()), " % filled); ", validation_corpus_.count() / 2, " held out");
  if (rows_.dropped() + rows_.truncated() > 0)
    warn(rows_.dropped() / 2, " pairs are longer than a row and left out, ", rows_.truncated() / 2,
         " lose what they begin with");
}

std::unique_ptr<PairExamples> PreferencePairs::make(const ChatRows& from, std::span<const int64_t> rows) const {
  const int64_t count = int64_t(rows.size()), length = from.rules().length;
  auto made = std::make_unique<PairExamples>();
  made->batch = {empty({count, length}, DType::i32), empty({count, length}, DType::i32),
                 empty({count, length}, DType::i32)};
  std::vector<int32_t> last;
  int64_t answered = 0;
  for (int64_t r = 0; r < count; ++r) {
    const auto row_of = [&](const Tensor& t) { return std::span(t.as<int32_t>() + r * length, size_t(length)); };
    const ChatRows::Row row{row_of(made->batch.ids), row_of(made->batch.labels), row_of(made->batch.segments)};
    from.fill_row(rows[size_t(r)], row);
    for (const ChatSpan& text : from.spans(rows[size_t(r)])) {
      last.push_back(int32_t(r * length + text.end - 1));
      for (int64_t t = text.begin; t < text.end; ++t) answered += row.labels[size_t(t)] != ChatRows::kIgnored;
      made->answer_ends.push_back(answered);
    }
  }
  made->targets = int64_t(last.size()) / 2;
  made->last = from_values<int32_t>({int64_t(last.size())}, last);
  made->answers = find_labelled(made->batch.labels);
  return made;
}

std::unique_ptr<PairExamples> PreferencePairs::examples(int64_t step, int64_t first, int64_t rows) const {
  std::vector<int64_t> chosen(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) chosen[size_t(i)] = rows_.row_at(step * config_.step_rows() + first + i);
  return make(rows_, chosen);
}

Validation PreferencePairs::validate(Communicator& ranks,
                                     const std::function<Judged(const PairExamples&)>& judge) const {
  const NoGrad no_grad;
  const int64_t most = config_.log.evaluate_sequences, batch = config_.train.batch;
  const int64_t count = most ? std::min(most, validation_.count()) : validation_.count();
  std::vector<std::vector<double>> mine;  // by number: of each batch
  for (int64_t i = ranks.rank() * batch; i < count; i += ranks.size() * batch) {
    std::vector<int64_t> rows(size_t(std::min(batch, count - i)));
    std::iota(rows.begin(), rows.end(), i);
    const Judged judged = judge(*make(validation_, rows));
    std::vector<double> numbers = pair_sums(judged.rewards);
    numbers.push_back(judged.loss.item());
    mine.resize(numbers.size());
    for (size_t n = 0; n < numbers.size(); ++n) mine[n].push_back(numbers[n]);
  }
  std::vector<double> sums;
  mine.resize(pair_sums({}).size() + 1);  // also where a rank had no batch
  for (const std::vector<double>& of_batches : mine)
    sums.push_back(sum_in_order(ranks, of_batches, (count + batch - 1) / batch));
  const double pairs = sums[3], loss = sums.back() / pairs;
  require<Exit::numerical>(std::isfinite(loss), config_.data.path, ": the loss is ", loss,
                           ": the model's weights are damaged");
  Shown shown = show_pairs("validation/", sums);
  shown.scalars.insert(shown.scalars.begin(), {"validation/loss", loss});
  char text[160];
  std::snprintf(text, sizeof text, "loss %.4f of a pair | %s | %s held-out pairs", loss, shown.text.c_str(),
                grouped(int64_t(pairs)).c_str());
  return {.loss = loss, .text = text, .scalars = std::move(shown.scalars)};
}

std::vector<double> pair_sums(std::span<const double> rewards) {
  std::vector<double> sums(4);
  for (size_t i = 0; i < rewards.size(); i += 2) {
    sums[0] += rewards[i];
    sums[1] += rewards[i + 1];
    sums[2] += rewards[i] > rewards[i + 1];
    sums[3] += 1;
  }
  return sums;
}

Shown show_pairs(const std::string& prefix, std::span<const double> sums) {
  const double pairs = sums[3], accuracy = sums[2] / pairs, margin = (sums[0] - sums[1]) / pairs;
  char text[80];
  std::snprintf(text, sizeof text, "accuracy %.3f | margin %.3f", accuracy, margin);
  return {.text = text,
          .scalars = {{prefix + "rewards/chosen", sums[0] / pairs},
                      {prefix + "rewards/rejected", sums[1] / pairs},
                      {prefix + "rewards/margins", margin},
                      {prefix + "rewards/accuracies", accuracy}}};
}

}  // namespace hinoki
