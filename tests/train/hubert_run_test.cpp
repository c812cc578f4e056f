// Pretraining of HuBERT as a whole: resumed anywhere, on any number of ranks, it is the undisturbed run, bit by bit.
#include <cmath>
#include <mutex>

#include "core/base/log.h"
#include "tests/models/tiny_hubert_folder.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"
#include "tests/support/quiet_test.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_hubert_run.h"
#include "train/hubert_folder.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki::hubert_run_test {
namespace {

struct Bits {
  std::vector<double> losses, norms, validation;
  std::string weights;
  bool operator==(const Bits&) const = default;
};

// Steps of a run, from its newest snapshot or from the start, up to `until`.
Bits train(const HubertConfig& config, int ranks, int64_t until, bool save = false, int threads = 1) {
  Bits bits;
  std::mutex mutex;
  test::on_ranks(
      ranks,
      [&](Communicator& c) {
        hinoki::Run run(config, c);
        if (const auto usable = find_usable(config.run + "/snapshots"); usable.found) run.resume(usable.found->path);
        Bits mine;
        while (run.steps_done() < until) {
          const StepReport r = run.step();
          mine.losses.push_back(r.loss);
          mine.norms.push_back(r.gradient_norm);
        }
        if (save) run.save();
        for (const Scalar& s : run.validate().scalars) mine.validation.push_back(s.value);
        for (const Parameter& p : run.parameters().all())
          mine.weights.append(static_cast<const char*>(p.value.data()), size_t(p.value.numel()) * 4);
        const std::lock_guard lock(mutex);
        if (c.first()) bits = mine;
      },
      threads);
  return bits;
}

class HubertRun : public test::QuietTest<> {
 protected:
  const test::TinyHubertRun tiny_;
};

TEST_F(HubertRun, HasTheSameBitsOnAnyNumberOfRanksAndThreads) {
  const Bits alone = train(tiny_.config, 1, 12);
  EXPECT_LT(alone.losses.back(), alone.losses.front()) << "it learns";
  for (const int ranks : {1, 2, 4}) {
    const Bits bits = train(tiny_.in("other"), ranks, 12, false, ranks == 1 ? 3 : 1);
    EXPECT_EQ(bits.losses, alone.losses) << ranks << " ranks";
    EXPECT_EQ(bits.validation, alone.validation) << ranks << " ranks";
    EXPECT_TRUE(bits == alone) << ranks << " ranks";
  }
}

TEST_F(HubertRun, StoppedAtAnyStepAndResumedIsTheSameRun) {
  const Bits whole = train(tiny_.config, 1, 12);
  for (int64_t k = 0; k < 12; ++k) {
    const HubertConfig config = tiny_.in(say("stopped-", k));
    Bits first = train(config, 1 + int(k % 2), k, true);
    const Bits second = train(config, 2 - int(k % 2), 12);
    first.losses.insert(first.losses.end(), second.losses.begin(), second.losses.end());
    EXPECT_EQ(first.losses, whole.losses) << "stopped after step " << k;
    EXPECT_EQ(second.weights, whole.weights) << "stopped after step " << k;
    EXPECT_EQ(second.validation, whole.validation) << "stopped after step " << k;
  }
}

TEST_F(HubertRun, LearnsMoreThanTheCommonestCluster) {
  HubertConfig config = tiny_.config;
  config.train.steps = 150;
  config.model.layerdrop = 0;
  hinoki::Run run(config);
  const auto scalars = [&] {
    std::map<std::string, double> by_name;
    for (const Scalar& s : run.validate().scalars) by_name[s.tag] = s.value;
    return by_name;
  };
  const auto before = scalars();
  while (run.steps_done() < 150) run.step();
  const auto after = scalars();
  std::printf("masked accuracy %.3f before, %.3f after; unmasked %.3f; the commonest %.3f; loss %.3f, %.3f\n",
              before.at("validation/masked_accuracy"), after.at("validation/masked_accuracy"),
              after.at("validation/unmasked_accuracy"), after.at("validation/commonest_share"),
              before.at("validation/loss"), after.at("validation/loss"));
  EXPECT_LT(before.at("validation/masked_accuracy"), after.at("validation/commonest_share") + 0.1);
  EXPECT_GT(after.at("validation/masked_accuracy"), after.at("validation/commonest_share") + 0.1);
  EXPECT_GT(after.at("validation/unmasked_accuracy"), after.at("validation/masked_accuracy"));
}

TEST_F(HubertRun, ASnapshotIsAHubertFolderThatNamesItsLabels) {
  hinoki::Run run(tiny_.config);
  run.step();
  const std::string path = run.save();
  const LoadedHubert model = open_hubert(path);
  EXPECT_EQ(model.config.model.conv_kernel, tiny_.config.model.conv_kernel);
  for (const Parameter& p : model.parameters->all())
    EXPECT_TRUE(test::same_bits(p.value.detach(), run.parameters().find(p.name).value.detach())) << p.name;
  EXPECT_NE(bytes_of_file(path + "/labels.json").find("\"clusters\": 12"), std::string::npos);
  HubertConfig next = tiny_.in("next");
  next.start_from = path;
  const hinoki::Run started(next);
  const Parameter& some = started.parameters().all()[3];
  EXPECT_TRUE(test::same_bits(some.value.detach(), run.parameters().find(some.name).value.detach()));
}

// Clusters of another codebook: the heads are new, from the seed, and it is said.
TEST_F(HubertRun, StartsWithNewHeadsForOtherClusters) {
  hinoki::Run run(tiny_.config);
  run.step();
  HubertConfig next = tiny_.in("next");
  tiny_.label("others", 7);
  next.data.labels = (tiny_.folder / "others").string();
  next.targets.classes = 7;
  const hinoki::Run fresh(next);
  next.start_from = run.save();
  set_quiet(false);
  testing::internal::CaptureStderr();
  const hinoki::Run started(next);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("new, from the seed, for 7 clusters: final_proj.weight, final_proj.bias, label_embeddings"),
            said.npos)
      << said;
  int64_t heads = 0;
  for (const Parameter& p : started.parameters().all()) {
    const hinoki::Run& from = p.training_only ? fresh : run;
    heads += p.training_only;
    EXPECT_TRUE(test::same_bits(p.value.detach(), from.parameters().find(p.name).value.detach())) << p.name;
  }
  EXPECT_EQ(heads, 3);
  next.data.do_normalize = true;
  EXPECT_ERROR(hinoki::Run{next}, Exit::usage, "learned from sound with do_normalize");
}

TEST_F(HubertRun, RefusesToStartFromWhatLacksWeights) {
  HubertConfig next = tiny_.in("next");
  next.start_from = hinoki::Run(tiny_.config).save();
  EXPECT_NO_THROW(hinoki::Run{next});
  const std::string lost = "encoder.layers.1.attention.k_proj.weight";
  test::Weights weights;
  const LoadedHubert model = open_hubert(next.start_from);
  for (const Parameter& p : model.parameters->all())
    if (p.name != lost) weights[p.name] = p.value.detach();
  std::filesystem::create_directories(tiny_.folder / "lacking");
  test::write_tensors(tiny_.folder / "lacking", "model", weights);
  for (const char* file : {"config.json", "preprocessor_config.json"})
    std::filesystem::copy_file(next.start_from + "/" + file, tiny_.folder / "lacking" / file);
  next.start_from = (tiny_.folder / "lacking").string();
  EXPECT_ERROR(hinoki::Run{next}, Exit::data, "lacking: the weights lack " + lost);
  std::filesystem::remove(tiny_.folder / "lacking/model.safetensors");
  EXPECT_ERROR(hinoki::Run{next}, Exit::data, "holds neither model.safetensors nor model.safetensors.index.json");
}

TEST_F(HubertRun, RefusesLabelsThatDoNotFit) {
  hinoki::Run run(tiny_.config);
  run.step();
  const std::string path = run.save();
  tiny_.label("others", 7);
  HubertConfig other = tiny_.in("other");
  other.data.labels = (tiny_.folder / "others").string();
  EXPECT_ERROR(hinoki::Run{other}, Exit::usage, "targets.classes is 12, but the labels");
  other.targets.classes = 7;
  hinoki::Run second(other);
  EXPECT_ERROR(second.resume(path), Exit::snapshot, "was trained on labels of the codebook");
  test::write_spoken_corpus(tiny_.folder / "longer", 22);
  other.data.corpus = (tiny_.folder / "longer").string();
  EXPECT_ERROR(hinoki::Run{other}, Exit::data, "the labels were made for the train speech");
  HubertConfig rate = tiny_.in("rate");
  rate.model.conv_stride = {5, 4, 4, 3};
  EXPECT_ERROR(rate.check(), Exit::usage, "240 samples apart");
  rate.model.conv_stride = {5, 4, 4, 5};
  EXPECT_ERROR(hinoki::Run{rate}, Exit::data, "100 labels a second do not divide among 40 frames");
}

// Labels of frames, taken by hand from those of the whole utterance.
TEST_F(HubertRun, RowsAreCropsWithTheLabelsOfTheirFrames) {
  const SpeechCorpus corpus(tiny_.config.data.corpus, "train");
  const LabelCorpus labels(tiny_.config.data.labels, corpus, "train");
  const HubertExamples examples(tiny_.config, corpus, labels);
  const int64_t frames = tiny_.config.row_frames();
  ASSERT_EQ(frames, 39);
  bool short_one = false, cropped = false;
  for (int64_t step = 0; step < 5; ++step) {
    const HubertBatch batch = examples.of_step(step, 0, 8);
    std::map<int64_t, std::set<int64_t>> masked;  // by frames of the row
    for (int64_t row = 0; row < 8; ++row) {
      const Crop crop = examples.batches().crop(step * 8 + row);
      cropped |= crop.begin > 0, short_one |= crop.samples < 12'800;
      std::vector<int32_t> whole(size_t(labels.labels(crop.utterance)));
      labels.read(crop.utterance, whole);
      std::vector<float> sound(size_t(corpus.samples(crop.utterance)));
      corpus.read(crop.utterance, std::span(sound));
      const int64_t valid = (crop.samples - 400) / 320 + 1;
      int64_t count = 0;
      for (int64_t t = 0; t < frames; ++t) {
        const int32_t label = batch.labels.as<int32_t>()[row * frames + t],
                      mask = batch.input.masked_frames.as<int32_t>()[row * frames + t];
        EXPECT_EQ(label, t < valid ? whole[size_t(2 * (crop.begin / 320 + t))] : -100);
        EXPECT_TRUE(t < valid || mask == 0);
        count += mask;
      }
      masked[valid].insert(count);
      for (int64_t i = 0; i < 12'800; ++i)
        ASSERT_EQ(batch.input.samples.as<float>()[row * 12'800 + i],
                  i < crop.samples ? sound[size_t(crop.begin + i)] : 0);
    }
    for (const auto& [valid, counts] : masked) EXPECT_EQ(counts.size(), 1u) << "rows of " << valid << " frames";
    // The same rows, whichever micro-batch they fall into.
    const HubertBatch half = examples.of_step(step, 4, 4);
    EXPECT_EQ(std::memcmp(half.input.masked_frames.data(), batch.input.masked_frames.as<int32_t>() + 4 * frames,
                          size_t(4 * frames) * 4),
              0);
  }
  EXPECT_TRUE(short_one && cropped);
}

TEST_F(HubertRun, TellsOfSilenceBeforeItBegins) {
  SpeechShardWriter writer(tiny_.folder / "speech/train-00001.h5", "train");
  std::vector<int16_t> x = test::spoken(3, 3);
  std::fill(x.begin() + 8000, x.begin() + 24'000, int16_t(0));
  writer.append(x, {"half-empty", "", ""});
  writer.publish();
  tiny_.label("silent", 12);
  HubertConfig config = tiny_.config;
  config.data.labels = (tiny_.folder / "silent").string();
  testing::internal::CaptureStderr();
  const hinoki::Run run(config);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("1 of 11 utterances are silent for as long as a row of training, the first of them half-empty"),
            said.npos)
      << said;
}

}  // namespace
}  // namespace hinoki::hubert_run_test
