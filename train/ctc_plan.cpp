// What recipe "ctc" needs and does, from arithmetic alone.
#include <map>
#include <mutex>

#include "core/base/file.h"
#include "train/ctc_task.h"
#include "train/hubert_plan.h"
#include "train/hubert_task.h"

namespace hinoki {
namespace {

double row_seconds(const CtcConfig& c) { return seconds_of(c.row_samples()); }

// Pretraining of the same rows, whose output costs next to nothing.
HubertConfig like_pretraining(const CtcConfig& c) {
  HubertConfig like;
  static_cast<RunConfig&>(like) = c;
  like.model = c.model;
  like.data.crop_seconds = c.data.max_seconds;
  like.targets.classes = 1;
  like.targets.final_dim = 1;
  return like;
}

// Read once: a plan is made several times before a run begins.
int64_t vocabulary_size(const CtcConfig& c) {
  static std::mutex mutex;
  static std::map<std::string, int64_t> known;
  const std::lock_guard lock(mutex);
  const CtcDataConfig& d = c.data;
  if (!is_directory(d.vocabulary.empty() ? d.corpus : d.vocabulary)) return 0;
  const std::string key = say(d.corpus, '\n', d.vocabulary, '\n', int(d.unit), d.nfkc, d.punctuation, d.least_count);
  const auto [at, fresh] = known.try_emplace(key, 0);
  if (fresh) at->second = vocabulary_of(c).size();
  return at->second;
}

}  // namespace

CtcVocabulary vocabulary_of(const CtcConfig& c) {
  return c.data.vocabulary.empty()
             ? CtcVocabulary::of(SpeechCorpus(c.data.corpus, "train"), c.data.transcripts(), c.data.least_count)
             : CtcVocabulary::load(c.data.vocabulary);
}

std::string heading_of(const CtcConfig& c) {
  const int64_t vocabulary = vocabulary_size(c);
  return say("hubert with ctc, ", c.model.num_hidden_layers, " layers, width ", c.model.hidden_size, ", vocabulary ",
             vocabulary ? say(vocabulary) : "not known without its data", ", rows of ", c.data.max_seconds, " s");
}

Plan plan_of(const CtcConfig& c) {
  Parameters parameters(c.dtype());
  const int64_t vocabulary = std::max<int64_t>(1, vocabulary_size(c));
  const HubertForCtc model(c.model, vocabulary, Scope(parameters));
  Plan plan = plan_buffers(parameters);
  const int64_t frames = c.model.frames(c.row_samples());
  plan.activation_bytes = plan_of(like_pretraining(c)).activation_bytes +
                          2 * c.train.batch * frames * vocabulary * int64_t(size_of(c.dtype()));  // logits, gradient
  return plan;
}

Throughput throughput_of(const CtcConfig& c) {
  const HubertCost cost = hubert_row_cost(like_pretraining(c));
  const double flops = cost.total() - (c.freeze_extractor ? 2 * cost.extractor / 3 : 0);  // no way back there
  return {.one = "second of sound",
          .many = "seconds",
          .unit = "s/s",
          .metric = "sound_seconds_per_second",
          .step = row_seconds(c) * double(c.step_rows()),
          .flops = flops / row_seconds(c),
          .made_of = say(c.train.micro_batches, " micro-batches x ", c.train.batch, " rows x ", row_seconds(c))};
}

double epoch_of(const CtcConfig& c) {
  if (!is_directory(c.data.corpus)) return 0;
  const SpeechCorpus corpus(c.data.corpus, "train");
  const CtcVocabulary vocabulary = vocabulary_of(c);
  TranscribedRules rules = c.rules();
  rules.foreign = ForeignCharacters::unknown;
  return double(TranscribedSpeech(corpus, vocabulary, rules).count()) * row_seconds(c);
}

}  // namespace hinoki
