#include "data/speech_prepare.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "data/speech_corpus.h"
#include "data/token_shard.h"
#include "tests/data/sounds.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::speech_prepare_test {
namespace {

using Path = std::filesystem::path;

// 60 recordings of several kinds, some silent, and a manifest of them.
void write_inputs(const TemporaryFolder& folder) {
  std::string manifest = "path\ttranscript\tkana\n";
  for (int i = 0; i < 60; ++i) {
    const int format = i % 3 == 0 ? SF_FORMAT_FLAC | SF_FORMAT_PCM_16 : kWav16;
    const int rate = i % 4 == 0 ? 44100 : 16000, channels = i % 5 == 0 ? 2 : 1;
    const double loud = i % 20 == 7 ? 0 : 0.3;
    const std::string name = std::to_string(i) + ".snd", n = std::to_string(i);
    write_sound(folder / ("in/" + name), format, sine(0.4 + 0.02 * i, rate, channels, 200 + 10 * i, loud), rate,
                channels);
    manifest += name + "\t第" + n + "文\tダイ" + n + "ブン\n";
  }
  folder.write("in/all.tsv", manifest);
}

SpeechPreparation settings_for(const TemporaryFolder& folder, const std::string& output) {
  return {.inputs = {folder / "in/all.tsv"},
          .output = folder / output,
          .validation_fraction = 0.2,
          .shard_samples = 100000,
          .threads = 2};
}

int64_t left_out(const SpeechReport& r, SpeechFault f) { return r.left_out[size_t(f)]; }

}  // namespace

TEST(SpeechPrepare, UtterancesComeBackWithTheirTexts) {
  const TemporaryFolder folder;
  write_inputs(folder);
  const SpeechPreparation settings = settings_for(folder, "out");
  const SpeechReport report = prepare_speech(settings);
  EXPECT_EQ(report.named, 60);
  EXPECT_EQ(left_out(report, SpeechFault::silent), 3);
  EXPECT_EQ(report.utterances(), 57);
  EXPECT_EQ(report.resampled, 15);
  EXPECT_EQ(report.downmixed, 12);
  EXPECT_GT(report.train.shards, 2);
  std::map<std::string, int64_t> seen;
  for (const char* split : {"train", "validation"}) {
    const SpeechCorpus corpus(settings.output, split);
    EXPECT_EQ(corpus.utterances(), (split[0] == 't' ? report.train : report.validation).utterances);
    EXPECT_EQ(corpus.transcribed(), corpus.utterances());
    for (int64_t u = 0; u < corpus.utterances(); ++u) {
      const int64_t i = std::stoll(corpus.id(u));
      EXPECT_EQ(corpus.transcript(u), "第" + corpus.id(u) + "文");
      EXPECT_EQ(corpus.kana(u), "ダイ" + corpus.id(u) + "ブン");
      EXPECT_NEAR(double(corpus.samples(u)), 16000 * (0.4 + 0.02 * double(i)), 2);
      ++seen[corpus.id(u)];
      // The file itself, read again.
      std::vector<int16_t> stored(corpus.samples(u));
      corpus.read(u, std::span(stored));
      EXPECT_EQ(stored, read_audio(folder / ("in/" + corpus.id(u) + ".snd"), {}).samples);
    }
  }
  EXPECT_EQ(seen.size(), 57u);
  const std::string rejects = bytes_of_file(settings.output / "rejects.tsv");
  EXPECT_NE(rejects.find("all.tsv:9\t" + (folder / "in/7.snd").string() + "\tsilent\tis silent"), rejects.npos);
  EXPECT_EQ(std::count(rejects.begin(), rejects.end(), '\n'), 3);
}

TEST(SpeechPrepare, BytesDoNotDependOnThreadsOrTime) {
  const TemporaryFolder folder;
  write_inputs(folder);
  SpeechPreparation settings = settings_for(folder, "one");
  prepare_speech(settings);
  const auto first = bytes_of_files(folder / "one");
  sleep(1);  // a time stored anywhere would differ
  for (const int threads : {1, 7}) {
    settings.output = folder / ("threads-" + std::to_string(threads));
    settings.threads = threads;
    prepare_speech(settings);
    EXPECT_EQ(bytes_of_files(settings.output), first) << threads;
  }
}

TEST(SpeechPrepare, SplitFollowsTheSoundAlone) {
  const TemporaryFolder folder;
  write_inputs(folder);
  SpeechPreparation settings = settings_for(folder, "all");
  prepare_speech(settings);
  const SpeechCorpus validation(settings.output, "validation");
  ASSERT_GT(validation.utterances(), 1);
  // One of its recordings, named twice more under other names among half of the others.
  const std::string id = validation.id(0);
  std::string manifest = id + ".snd\t\tx1\n" + id + ".snd\t\tx2\n";
  for (int i = 0; i < 30; ++i) manifest += std::to_string(i) + ".snd\n";
  folder.write("in/half.tsv", manifest);
  settings.inputs = {folder / "in/half.tsv"};
  settings.output = folder / "half";
  prepare_speech(settings);
  const SpeechCorpus half(settings.output, "validation");
  EXPECT_EQ(half.id(0), "x1");
  EXPECT_EQ(half.id(1), "x2");
}

TEST(SpeechPrepare, KilledAndRunAgainGivesTheSameBytes) {
  const TemporaryFolder folder;
  write_inputs(folder);
  SpeechPreparation settings = settings_for(folder, "undisturbed");
  settings.shard_samples = 20000;
  ASSERT_GT(prepare_speech(settings).train.shards, 10);
  settings.output = folder / "killed";
  int64_t killed_at_work = 0;
  // Killed as soon as the n-th shard is there.
  for (const int64_t n : {0, 3, 9}) {
    const pid_t child = fork();
    if (child == 0) {
      prepare_speech(settings);
      _exit(0);
    }
    ASSERT_GT(child, 0);
    bool ended = false;
    while (!std::filesystem::exists(speech_shard_path(settings.output, "train", n)) && !ended) {
      usleep(100);
      ended = waitpid(child, nullptr, WNOHANG) != 0;
    }
    if (!ended) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    if (std::filesystem::exists(settings.output / kUnfinished)) {
      ++killed_at_work;
      EXPECT_ERROR(SpeechCorpus(settings.output, "train"), Exit::data, "is not finished");
    }
    std::filesystem::remove(speech_shard_path(settings.output, "train", n));
  }
  EXPECT_GT(killed_at_work, 0);
  prepare_speech(settings);
  EXPECT_EQ(bytes_of_files(folder / "killed"), bytes_of_files(folder / "undisturbed"));
}

TEST(SpeechPrepare, FaultsEndTheRunOrAreLeftOutAndCounted) {
  const TemporaryFolder folder;
  write_sound(folder / "in/good.wav", kWav16, sine(1, 16000));
  write_sound(folder / "in/short.wav", kWav16, sine(0.1, 16000));
  write_sound(folder / "in/long.wav", kWav16, sine(5, 16000));
  const std::string whole = bytes_of_file(folder / "in/good.wav");
  folder.write("in/cut.wav", whole.substr(0, 20000));
  folder.write("in/text.wav", "春はあけぼの。やうやう白くなりゆく");
  folder.write("in/all.tsv",
               "good.wav\tよい\nshort.wav\nlong.wav\ncut.wav\ntext.wav\nnone.wav\ngood.wav\t\xE3\x81\n\tx\n");
  SpeechPreparation settings = settings_for(folder, "out");
  settings.validation_fraction = 0;
  settings.limits.max_seconds = 4;
  expect_error(Exit::data, {"all.tsv:4: ", "cut.wav\" is truncated: its header promises 32000 bytes", "--faults skip"},
               [&] { prepare_speech(settings); });
  EXPECT_ERROR(SpeechCorpus(settings.output, "train"), Exit::data, "is not finished");
  settings.on_fault = OnFault::skip;
  const SpeechReport report = prepare_speech(settings);
  EXPECT_EQ(report.train.utterances, 1);
  for (const SpeechFault f : {SpeechFault::too_short, SpeechFault::too_long, SpeechFault::truncated,
                              SpeechFault::foreign, SpeechFault::missing, SpeechFault::text, SpeechFault::manifest})
    EXPECT_EQ(left_out(report, f), 1) << name_of(f);
  EXPECT_EQ(SpeechCorpus(settings.output, "train").transcript(0), "よい");
}

TEST(SpeechPrepare, FinishedCorpusIsReusedAndNeverOverwrittenByAccident) {
  const TemporaryFolder folder;
  write_inputs(folder);
  SpeechPreparation settings = settings_for(folder, "out");
  const SpeechReport first = prepare_speech(settings);
  EXPECT_FALSE(first.reused);
  const SpeechReport again = prepare_speech(settings);
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(again.train.samples, first.train.samples);
  EXPECT_EQ(again.left_out, first.left_out);
  settings.limits.max_seconds = 1;
  EXPECT_ERROR(prepare_speech(settings), Exit::usage, "max_seconds = 30.0 and not 1.0");
  settings.overwrite = true;
  EXPECT_LT(prepare_speech(settings).train.samples, first.train.samples);
  std::ofstream(folder / "in/all.tsv", std::ios::app) << "0.snd\n";
  settings.overwrite = false;
  EXPECT_ERROR(prepare_speech(settings), Exit::usage, "inputs = ");
}

TEST(SpeechPrepare, SilenceAloneIsNoCorpus) {
  const TemporaryFolder folder;
  write_sound(folder / "in/a.wav", kWav16, std::vector<float>(16000));
  SpeechPreparation settings = settings_for(folder, "out");
  settings.inputs = {folder / "in"};
  EXPECT_ERROR(prepare_speech(settings), Exit::data,
               "no speech for training was left of 1 utterances; left out: 1 silent");
  settings.validation_fraction = 1;
  EXPECT_ERROR(prepare_speech(settings), Exit::usage, "must be in [0, 1)");
  settings.validation_fraction = 0;
  settings.limits.min_seconds = 40;
  EXPECT_ERROR(prepare_speech(settings), Exit::usage, "the shortest first");
}

}  // namespace hinoki::speech_prepare_test
