// hinoki train with recipe "ctc" and hinoki transcribe as their users meet them.
#include <gtest/gtest.h>

#include "core/base/json.h"
#include "tests/data/sounds.h"
#include "tests/end_to_end/program.h"
#include "tests/support/tiny_ctc_run.h"
#include "train/config_file.h"
#include "train/publication.h"

namespace hinoki::transcribe_test {
namespace {

using test::expect_outcome;

struct Recogniser {
  test::TinyCtcRun tiny;
  std::string snapshot;

  Recogniser() {
    CtcConfig config = tiny.learning("run");
    config.train.steps = 20;
    expect_outcome(0, {}, {"train", tiny.folder.write("run.toml", print_config(config)).string()});
    snapshot = list_snapshots(config.run + "/snapshots").back().path;
    for (uint64_t n = 0; n < 3; ++n) {
      std::vector<float> sound;
      for (const int16_t s : test::sound_of(test::vowels_of(n), n)) sound.push_back(float(s) / 32768);
      write_sound(tiny.folder / say("in/", n % 2 ? "more/" : "", n, ".wav"), kWav16, sound);
    }
  }
  std::string path(const std::string& name) const { return (tiny.folder / name).string(); }
  std::vector<std::string> transcribe(std::vector<std::string> more) const {
    more.insert(more.begin(), {"transcribe", snapshot});
    return more;
  }
};

TEST(TranscribeCommand, WritesAFileForEachRecording) {
  const Recogniser r;
  expect_outcome(0, {"3 of 3 recordings"}, r.transcribe({r.path("in"), "--output", r.path("out"), "--format", "json"}));
  for (const char* name : {"0", "more/1", "2"}) {
    const Json json = Json::parse(bytes_of_file(r.path(say("out/", name, ".json"))));
    EXPECT_EQ(json["path"], r.path(say("in/", name, ".wav")));
    EXPECT_TRUE(json["segments"].is_array());
    EXPECT_NEAR(json["seconds"].get<double>(), double(test::vowels_of(std::string(name).back() - '0').size()) * 0.16,
                1e-3);
  }
  const auto printed = expect_outcome(0, {}, r.transcribe({r.path("in")}));
  EXPECT_EQ(std::count(printed.out.begin(), printed.out.end(), '\n'), 3);
  EXPECT_EQ(printed.out.find(r.path("in/0.wav") + "\t"), 0u) << printed.out;
  expect_outcome(0, {}, r.transcribe({r.path("in/0.wav"), "--format", "srt", "--beam", "4"}));
}

TEST(TranscribeCommand, GoesOnAfterAFileThatFails) {
  const Recogniser r;
  r.tiny.folder.write("bad/text.wav", "no sound");
  r.tiny.folder.write("bad/empty.wav", "");
  write_sound(r.tiny.folder / "bad/short.wav", kWav16, sine(0.02, 16000));
  write_sound(r.tiny.folder / "bad/silent.wav", kWav16, std::vector<float>(16000));
  write_sound(r.tiny.folder / "bad/stereo.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, sine(1, 44100, 2), 44100, 2);
  const auto done =
      expect_outcome(3,
                     {r.path("bad/text.wav"), r.path("bad/empty.wav"), r.path("bad/short.wav"), r.path("none.wav"),
                      r.path("bad/silent.wav") + ": is silent", "4 of 7 recordings could not be transcribed"},
                     r.transcribe({r.path("bad"), r.path("none.wav"), r.path("in/0.wav"), "--output", r.path("out")}));
  for (const char* name : {"silent.txt", "stereo.txt", "0.txt"})
    EXPECT_TRUE(std::filesystem::exists(r.path(say("out/", name)))) << name;
  EXPECT_FALSE(std::filesystem::exists(r.path("out/text.txt")));
}

TEST(TranscribeCommand, SaysWhatItCannotDo) {
  const Recogniser r;
  expect_outcome(2, {"do not go into one SRT text; give --output"}, r.transcribe({r.path("in"), "--format", "srt"}));
  std::filesystem::copy_file(r.path("in/0.wav"), r.path("0.wav"));
  expect_outcome(2, {"would both be \"0.txt\""},
                 r.transcribe({r.path("in/0.wav"), r.path("0.wav"), "--output", r.path("out")}));
  expect_outcome(2, {"have no middle between margins"}, r.transcribe({r.path("in"), "--window", "2", "--margin", "1"}));
  expect_outcome(2, {"is neither a folder, nor a manifest"}, r.transcribe({r.path("run.toml")}));
  std::filesystem::create_directories(r.path("nothing"));
  expect_outcome(3, {"there is no sound"}, r.transcribe({r.path("nothing")}));
  r.tiny.folder.write("vocab/vocab.json", "{}");
  expect_outcome(3, {"0 tokens are no vocabulary"},
                 {"train", r.path("run.toml"), "data.vocabulary=" + r.path("vocab"), "run=" + r.path("other")});
}

}  // namespace
}  // namespace hinoki::transcribe_test
