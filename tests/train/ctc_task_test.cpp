#include "train/ctc_task.h"

#include <gtest/gtest.h>

#include <mutex>

#include "data/error_rate.h"
#include "tests/models/tiny_hubert_folder.h"
#include "tests/support/expect_error.h"
#include "tests/support/quiet_test.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_ctc_run.h"
#include "train/publication.h"
#include "train/run.h"
#include "train/transcriber.h"

namespace hinoki::ctc_task_test {
namespace {

using Training = hinoki::Run;

class CtcTraining : public test::QuietTest<> {
 protected:
  test::TinyCtcRun tiny;
};

std::map<std::string, std::vector<double>> weights_of(const Training& run) {
  std::map<std::string, std::vector<double>> weights;
  for (const Parameter& p : run.parameters().all()) weights[p.name] = test::values(p.value.detach());
  return weights;
}

double scalar(const Validation& v, const std::string& name) {
  for (const Scalar& s : v.scalars)
    if (s.tag == name) return s.value;
  ADD_FAILURE() << name << " is not among the scalars";
  return 0;
}

// Trained once for the tests that need a model which spells.
struct Trained {
  test::TinyCtcRun tiny;
  Validation before, after;
  std::vector<std::string> samples;
  std::string snapshot;

  Trained() {
    Training run(tiny.learning("learns"));
    before = run.validate();
    while (run.steps_done() < run.config().train.steps) run.step();
    after = run.validate();
    samples = run.samples();
    snapshot = run.save();
  }
};
const Trained& trained() {
  static const Trained once;
  return once;
}

TEST_F(CtcTraining, LearnsToSpellWhatItHears) {
  const auto& [tiny, before, after, samples, snapshot] = trained();
  EXPECT_GT(scalar(before, "validation/cer"), 0.7) << before.text;
  EXPECT_LT(scalar(after, "validation/cer"), 0.4) << after.text;
  EXPECT_LT(after.loss, before.loss / 2);
  EXPECT_NE(after.text.find("8 utterances"), after.text.npos) << after.text;
  ASSERT_EQ(samples.size(), 4u);
  EXPECT_EQ(samples[0].find("said:       " + test::text_of(test::vowels_of(1000)) + "\nrecognised: "), 0u)
      << samples[0];
  // What the snapshot hears and spells is what the run did.
  const Transcriber transcriber(snapshot, {}, {});
  const SpeechCorpus corpus(tiny.folder / "speech", "validation");
  for (int64_t u = 0; u < 4; ++u) {
    std::vector<float> sound(size_t(corpus.samples(u)));
    corpus.read(u, std::span(sound));
    EXPECT_EQ("recognised: " + transcriber(sound).text(), samples[size_t(u)].substr(samples[size_t(u)].find('\n') + 1));
  }
}

TEST_F(CtcTraining, FrozenStagesKeepTheirBits) {
  CtcConfig config = tiny.in("frozen");
  config.optimizer.weight_decay = 0.1;
  Training run(config);
  const auto start = weights_of(run);
  for (int64_t step = 0; step < 4; ++step) run.step();
  auto now = weights_of(run);
  for (const auto& [name, values] : start) EXPECT_EQ(now[name] == values, name.starts_with("hubert.")) << name;
  for (int64_t step = 4; step < 8; ++step) run.step();
  now = weights_of(run);
  int64_t learned = 0;
  for (const auto& [name, values] : start) {
    if (name.starts_with("hubert.feature_extractor.")) {
      EXPECT_EQ(now[name], values) << name;
    }
    if (name.starts_with("hubert.encoder.") && now[name] != values) ++learned;
  }
  EXPECT_GT(learned, 20);
}

struct Bits {
  std::vector<double> losses, validation;
  std::map<std::string, std::vector<double>> weights;
  bool operator==(const Bits&) const = default;
};

// Steps of a run, from its newest snapshot or from the start.
Bits train(const CtcConfig& config, int ranks, int64_t until, bool save = false) {
  Bits bits;
  std::mutex mutex;
  test::on_ranks(ranks, [&](Communicator& communicator) {
    Training run(config, communicator);
    if (const auto usable = find_usable(config.run + "/snapshots"); usable.found) run.resume(usable.found->path);
    std::vector<double> losses;
    while (run.steps_done() < until) losses.push_back(run.step().loss);
    if (save) run.save();
    const Validation v = run.validate();
    const std::lock_guard lock(mutex);
    if (communicator.first())
      bits = {losses, {v.loss, scalar(v, "validation/cer"), scalar(v, "validation/wer")}, weights_of(run)};
  });
  return bits;
}

TEST_F(CtcTraining, AnyNumberOfRanksGivesTheSameBits) {
  const Bits alone = train(tiny.in("alone"), 1, 8);
  ASSERT_EQ(alone.losses.size(), 8u);
  for (const int ranks : {2, 4}) EXPECT_TRUE(train(tiny.in("others"), ranks, 8) == alone) << ranks;
}

TEST_F(CtcTraining, AResumedRunIsTheUndisturbedOne) {
  const Bits undisturbed = train(tiny.in("undisturbed"), 1, 8);
  for (const int64_t stop : {3, 4, 6}) {  // before, as and after the encoder begins to learn
    const CtcConfig config = tiny.in(say("stopped-", stop));
    train(config, 2, stop, true);
    Bits rest = train(config, 1, 8);
    EXPECT_EQ(rest.losses, std::vector(undisturbed.losses.begin() + stop, undisturbed.losses.end())) << stop;
    EXPECT_TRUE(rest.weights == undisturbed.weights) << stop;
  }
}

TEST_F(CtcTraining, StartsFromWhatHasNotLearnedToSpell) {
  CtcConfig config = tiny.in("started");
  test::TinyHubertFolder hubert(false);
  config.model = hubert.config().model;
  config.channel_mask.probability = 0;
  config.data.max_seconds = 1;
  config.start_from = hubert.path();
  const Training run(config);
  const auto weights = weights_of(run);
  for (const auto& [name, values] : hubert.weights())
    EXPECT_EQ(weights.at("hubert." + name), test::values(values)) << name;
  config.start_from = "";
  const auto fresh = weights_of(Training(config));
  EXPECT_EQ(weights.at("lm_head.weight"), fresh.at("lm_head.weight"));
  EXPECT_NE(weights.at("hubert.encoder.layers.0.attention.q_proj.weight"),
            fresh.at("hubert.encoder.layers.0.attention.q_proj.weight"));
  config.start_from = hubert.path(), config.data.do_normalize = true;
  EXPECT_ERROR(Training{config}, Exit::usage, "do_normalize");
}

TEST_F(CtcTraining, GoesOnInTheVocabularyOfWhatItStartsFrom) {
  const CtcConfig config = tiny.in("first");
  const std::string snapshot = [&] { return Training(config).save(); }();
  CtcConfig again = tiny.in("again");
  again.start_from = snapshot;
  EXPECT_EQ(weights_of(Training(again)), weights_of(Training(config)));
  test::write_vowel_corpus(tiny.folder / "smaller", 1, 8);  // fewer vowels
  again.data.corpus = (tiny.folder / "smaller").string();
  again.data.foreign = ForeignCharacters::unknown;
  EXPECT_ERROR(Training{again}, Exit::usage, "spells in another vocabulary; set data.vocabulary");
  again.data.vocabulary = snapshot;
  EXPECT_EQ(weights_of(Training(again)), weights_of(Training(config)));
}

TEST_F(CtcTraining, RefusesASnapshotOfAnotherVocabulary) {
  const CtcConfig config = tiny.in("run");
  Training(config).save();
  CtcConfig changed = config;
  changed.data.foreign = ForeignCharacters::unknown;
  while (vocabulary_of(changed) == vocabulary_of(config)) ++changed.data.least_count;  // until some vowel is rarer
  Training run(changed);
  const auto usable = find_usable(config.run + "/snapshots");
  ASSERT_TRUE(usable.found);
  EXPECT_ERROR(run.resume(usable.found->path), Exit::snapshot, "spells in another vocabulary");
}

TEST_F(CtcTraining, SaysWhatCannotBeTrained) {
  CtcConfig config = tiny.in("refused");
  config.model.mask_time_prob = 0;
  EXPECT_ERROR(config.check(), Exit::usage, "no vector for masked frames");
  config = tiny.in("refused"), config.channel_mask.length = 25;
  EXPECT_ERROR(config.check(), Exit::usage, "channel_mask.length 25 is more than the 24 channels");
  config = tiny.in("refused"), config.data.max_seconds = 0.02;
  EXPECT_ERROR(config.check(), Exit::usage, "less than a frame");
  config = tiny.in("refused"), config.data.max_seconds = 0.3;
  EXPECT_ERROR(Training{config}, Exit::data, "longer than 0.3 s: speaker/0, speaker/1");
  config = tiny.in("refused"), config.data.unit = TranscriptUnit::kana;
  EXPECT_ERROR(Training{config}, Exit::data, "none of 300 utterances has a transcript in kana");
}

// Long recordings: windows and segments give what one pass gives.
TEST_F(CtcTraining, TranscribesWindowByWindow) {
  const std::string& folder = trained().snapshot;
  std::vector<float> samples;
  std::vector<int> all;
  for (uint64_t n = 2000; n < 2012; ++n) {
    const std::vector<int> vowels = test::vowels_of(n);
    for (const int16_t s : test::sound_of(vowels, n)) samples.push_back(float(s) / 32768);
    all.insert(all.end(), vowels.begin(), vowels.end());
  }
  double share = 0;
  const Transcript t = Transcriber(folder, {}, {.window_seconds = 1, .margin_seconds = 0.2})(samples, [&](double now) {
    EXPECT_GT(now, share);
    share = now;
  });
  EXPECT_EQ(share, 1);
  EXPECT_NEAR(t.seconds, double(samples.size()) / 16000, 1e-9);
  EXPECT_LT(character_errors(test::text_of(all), t.text()).rate(), 0.5) << t.text();
  double end = 0;
  for (const TranscriptSegment& s : t.segments) {
    EXPECT_GE(s.begin, end);
    EXPECT_LE(s.end, t.seconds);
    for (const TranscriptCharacter& c : s.characters) {
      EXPECT_GE(c.begin, end - 1e-9);
      EXPECT_GT(c.end, c.begin);
      end = c.end;
    }
    EXPECT_EQ(s.end, end);
  }
  EXPECT_FALSE(Transcriber(folder, {}, {.beam = 4})(samples).text().empty());
  EXPECT_EQ(Transcriber(folder, {}, {})(std::span(samples).first(399)).text(), "");
  EXPECT_ERROR(Transcriber(folder, {}, {.window_seconds = 1, .margin_seconds = 0.5}), Exit::usage, "have no middle");
}

}  // namespace
}  // namespace hinoki::ctc_task_test
