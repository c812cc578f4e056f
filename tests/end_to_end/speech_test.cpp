// hinoki data speech as its users meet it: exit codes, messages, memory.
#include <gtest/gtest.h>

#include "tests/data/sounds.h"
#include "tests/end_to_end/program.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::speech_test {
namespace {

using test::expect_outcome;

struct Speech {
  TemporaryFolder folder;
  std::string path(const std::string& name) const { return (folder / name).string(); }
  std::vector<std::string> prepare(const std::string& input, std::vector<std::string> more = {}) const {
    std::vector<std::string> all{"data", "speech", "--input", path(input), "--output", path("out")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

}  // namespace

TEST(SpeechCommand, SaysWhatItReadAndWhatItLeftOut) {
  const Speech s;
  for (int i = 0; i < 10; ++i)
    write_sound(s.folder / ("in/" + std::to_string(i) + ".flac"), SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
                sine(3.6, 44100, 2, 200 + 20 * i), 44100, 2);
  write_sound(s.folder / "in/quiet.wav", kWav16, std::vector<float>(16000));
  const auto done = expect_outcome(0, {}, s.prepare("in", {"--validation-fraction", "0"}));
  for (const char* part : {"read        11 utterances in ", "times real time", "left out    1 silent (rejects.tsv",
                           "converted   10 resampled to 16 kHz, 10 mixed down to one channel, 0 from 8 bits",
                           "train       0.010 hours, 10 utterances, 0 with a transcript"})
    EXPECT_NE(done.out.find(part), done.out.npos) << done.out;
  const auto again = expect_outcome(0, {}, s.prepare("in", {"--validation-fraction", "0"}));
  EXPECT_NE(again.out.find("already holds this corpus"), again.out.npos);
  expect_outcome(2, {"already holds a corpus, made with validation_fraction = 0.0 and not 0.5", "--overwrite"},
                 s.prepare("in", {"--validation-fraction", "0.5"}));
}

TEST(SpeechCommand, FaultsHaveAFileALineAndAnExitCode) {
  const Speech s;
  write_sound(s.folder / "good.wav", kWav16, sine(1, 16000));
  const std::string sound = bytes_of_file(s.folder / "good.wav");
  s.folder.write("cut.wav", sound.substr(0, sound.size() / 2));
  s.folder.write("all.tsv", "good.wav\tはる\ncut.wav\tなつ\nnone.wav\n");
  expect_outcome(3, {s.path("all.tsv") + ":2: \"" + s.path("cut.wav") + "\" is truncated", "--faults skip"},
                 s.prepare("all.tsv"));
  const auto skipped = expect_outcome(0, {}, s.prepare("all.tsv", {"--faults", "skip"}));
  EXPECT_NE(skipped.out.find("left out    1 missing, 1 truncated"), skipped.out.npos) << skipped.out;
  expect_outcome(3, {"No such file"}, s.prepare("nothing"));
  expect_outcome(2, {"is neither a folder, nor a manifest"}, s.prepare("out/prepare.json"));
  expect_outcome(2, {"the shortest first"}, s.prepare("all.tsv", {"--min-seconds", "40"}));
  expect_outcome(2, {"--shard-samples"}, s.prepare("all.tsv", {"--shard-samples", "0"}));
}

TEST(SpeechCommand, MemoryIsFlat) {
  const Speech s;
  write_sound(s.folder / "a.wav", kWav16, sine(20, 48000, 2), 48000, 2);
  std::string few, many;
  for (int i = 0; i < 300; ++i) (i < 10 ? few : many) += "a.wav\t" + std::string(1000, 'x') + "\n";
  s.folder.write("few.tsv", few);
  s.folder.write("many.tsv", few + many);
  const auto peak = [&](const std::string& manifest) {
    return expect_outcome(0, {}, s.prepare(manifest, {"--overwrite"})).peak_memory;
  };
  const int64_t small = peak("few.tsv");
  // 100 minutes are 192 MB of samples, of which a few utterances may be in memory.
  EXPECT_LT(peak("many.tsv"), small + (8 << 20));
}

TEST(SpeechCommand, AFullDiskIsNamedAndLeavesNoCorpus) {
  const Speech s;
  write_sound(s.folder / "in/a.wav", kWav16, sine(20, 16000));
  expect_outcome(1, {"cannot write", s.path("out"), "File too large"}, s.prepare("in", {"--validation-fraction", "0"}),
                 {.largest_file = 200'000});
  EXPECT_TRUE(std::filesystem::exists(s.folder / "out/unfinished"));
  expect_outcome(0, {}, s.prepare("in", {"--validation-fraction", "0"}));
  EXPECT_FALSE(std::filesystem::exists(s.folder / "out/unfinished"));
}

TEST(LabelsCommand, AFullDiskIsNamedAndTheNextRunGoesOn) {
  const Speech s;
  for (int i = 0; i < 4; ++i)
    write_sound(s.folder / ("in/" + std::to_string(i) + ".wav"), kWav16, sine(4, 16000, 1, 200 + 90 * i));
  expect_outcome(0, {}, s.prepare("in", {"--validation-fraction", "0"}));
  expect_outcome(0, {}, {"data", "clusters", s.path("out"), "--out", s.path("book.h5"), "--clusters", "4", "--batches", "5"});
  const std::vector<std::string> labels{"data",       "labels",        s.path("out"), "--codebook",
                                        s.path("book.h5"), "--output", s.path("labels")};
  s.folder.write("forgotten", "leak:libhdf5\n");  // HDF5 1.10 forgets the chunk of a dataset that it could not write
  expect_outcome(1, {"cannot write", s.path("labels")}, labels,
                 {.largest_file = 20'000,
                  .environment = {{"LSAN_OPTIONS", "print_suppressions=0:suppressions=" + s.path("forgotten")}}});
  EXPECT_TRUE(std::filesystem::exists(s.folder / "labels/unfinished"));
  const auto done = expect_outcome(0, {}, labels);
  EXPECT_NE(done.out.find("train       1592 labels of 4 utterances, 1 shards (0 were there)"), done.out.npos) << done.out;
  EXPECT_FALSE(std::filesystem::exists(s.folder / "labels/unfinished"));
}

}  // namespace hinoki::speech_test
