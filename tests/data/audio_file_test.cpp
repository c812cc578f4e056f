#include "data/audio_file.h"

#include <sys/stat.h>

#include "core/base/philox.h"
#include "tests/data/sounds.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::audio_file_test {
namespace {

constexpr int kFlac = SF_FORMAT_FLAC | SF_FORMAT_PCM_16, kVorbis = SF_FORMAT_OGG | SF_FORMAT_VORBIS;
constexpr int kFloat = SF_FORMAT_WAV | SF_FORMAT_FLOAT;

void expect_fault(SpeechFault fault, const std::string& part, const std::filesystem::path& path,
                  const AudioLimits& limits = {}) {
  try {
    read_audio(path, limits);
    ADD_FAILURE() << path << " was read";
  } catch (const SpeechError& e) {
    EXPECT_STREQ(name_of(e.fault), name_of(fault)) << path << " " << e.what();
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

// The largest difference to the mean of the sines, away from the ends, where a resampler sees the silence around.
double distance(const std::vector<int16_t>& got, int channels, double loud = 0.5) {
  double worst = 0;
  for (size_t i = 500; i + 500 < got.size(); ++i) {
    double mean = 0;
    for (int c = 0; c < channels; ++c)
      mean += loud / channels * std::sin(2 * std::numbers::pi * 440 * (c + 1) * double(i) / 16000);
    worst = std::max(worst, std::fabs(got[i] / 32768.0 - mean));
  }
  return worst;
}

}  // namespace

TEST(AudioFile, SixteenBitsAtSixteenKilohertzKeepTheirBits) {
  const TemporaryFolder folder;
  std::vector<float> frames;
  for (int i = 0; i < 65536; ++i) frames.push_back(float(i - 32768) / 32768);
  for (const int format :
       {kWav16, kFlac, SF_FORMAT_RF64 | SF_FORMAT_PCM_16, SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, kWav16 | SF_ENDIAN_BIG}) {
    const Audio audio = read_audio(write_sound(folder / "a", format, frames), {});
    ASSERT_EQ(audio.samples.size(), 65536u);
    for (int i = 0; i < 65536; ++i) ASSERT_EQ(audio.samples[size_t(i)], i - 32768) << format;
    EXPECT_FALSE(audio.resampled || audio.downmixed || audio.eight_bit);
  }
}

TEST(AudioFile, EveryEncodingRateAndChannelCountBecomesTheSameSound) {
  const TemporaryFolder folder;
  // libsndfile writes b bits at a scale of 2^(b-1) - 1 and drops what is below one step; a resampler adds to that what
  // rings; then comes our own rounding.
  const auto of_bits = [](int bits) { return 1.5 * 1.5 * std::ldexp(1, 1 - bits) + std::ldexp(1, -16) + 2e-6; };
  struct Case {
    int format, rate, channels;
    double tolerance;
  };
  for (const Case& c : {Case{kWav16, 44100, 2, of_bits(16)},
                        {kWav16, 48000, 1, of_bits(16)},
                        {kWav16, 8000, 1, of_bits(16)},
                        {kWav16, 16000, 5, of_bits(16)},
                        {SF_FORMAT_WAV | SF_FORMAT_PCM_24, 22050, 2, of_bits(24)},
                        {SF_FORMAT_WAV | SF_FORMAT_PCM_32, 96000, 1, of_bits(32)},
                        {kFloat, 16000, 1, of_bits(24)},
                        {SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 11025, 2, of_bits(24)},
                        {SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 16000, 1, of_bits(8)},
                        {SF_FORMAT_WAV | SF_FORMAT_ULAW, 16000, 1, of_bits(6)},  // the step at half of full scale
                        {SF_FORMAT_WAV | SF_FORMAT_ALAW, 8000, 1, of_bits(6)},
                        {SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 44100, 2, of_bits(24)},
                        {kFlac, 48000, 2, of_bits(16)},
                        {kVorbis, 44100, 1, 0.03},  // lossy: about the size of the loss, against a sine of 0.5
                        {SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 1, 0.05}}) {
    const Audio audio =
        read_audio(write_sound(folder / "a.wav", c.format, sine(1.5, c.rate, c.channels), c.rate, c.channels), {});
    EXPECT_NEAR(double(audio.samples.size()), 24000, 2) << std::hex << c.format;
    EXPECT_LT(distance(audio.samples, c.channels), c.tolerance) << std::hex << c.format << " " << std::dec << c.rate;
    EXPECT_EQ(audio.resampled, c.rate != 16000);
    EXPECT_EQ(audio.downmixed, c.channels > 1);
    EXPECT_EQ(audio.eight_bit, c.format == (SF_FORMAT_WAV | SF_FORMAT_PCM_U8));
  }
}

TEST(AudioFile, WhatLiesAboveTheNewBandIsGone) {
  const TemporaryFolder folder;
  // 10 kHz would fold to 6 kHz.
  const auto path = write_sound(folder / "a.wav", kFloat, sine(1, 44100, 1, 10000), 44100);
  const AudioLimits loud{.min_seconds = 0.3, .max_seconds = 30, .silence_dbfs = -300};
  const Audio audio = read_audio(path, loud);
  for (size_t i = 500; i + 500 < audio.samples.size(); ++i) ASSERT_LE(std::abs(audio.samples[i]), 1);
}

TEST(AudioFile, LoudFloatsAreClippedAndCounted) {
  const TemporaryFolder folder;
  std::vector<float> frames = sine(1, 16000);
  frames[100] = 1.5f, frames[200] = -3, frames[300] = 1;
  const Audio audio = read_audio(write_sound(folder / "a.wav", kFloat, frames), {});
  EXPECT_EQ(audio.samples[100], 32767);
  EXPECT_EQ(audio.samples[200], -32768);
  EXPECT_EQ(audio.samples[300], 32767);
  EXPECT_EQ(audio.clipped_samples, 3);
}

TEST(AudioFile, SilenceIsFoundWhateverItsOffset) {
  const TemporaryFolder folder;
  expect_fault(SpeechFault::silent, "is silent", write_sound(folder / "a.wav", kWav16, std::vector<float>(16000)));
  expect_fault(SpeechFault::silent, "is silent",
               write_sound(folder / "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, std::vector<float>(16000)));
  expect_fault(SpeechFault::silent, "is silent",
               write_sound(folder / "a.wav", kWav16, std::vector<float>(16000, 0.3f)));
  expect_fault(SpeechFault::silent, "is silent", write_sound(folder / "a.wav", kWav16, sine(1, 16000, 1, 440, 0.001)));
  // Half a second of sound in a second of nothing is kept, and its silence told.
  std::vector<float> frames = sine(0.5, 16000);
  frames.resize(24000);
  EXPECT_EQ(read_audio(write_sound(folder / "a.wav", kWav16, frames), {}).silent_samples, 16000);
  EXPECT_EQ(read_audio(write_sound(folder / "a.wav", kWav16, sine(1, 16000, 1, 440, 0.003)), {}).silent_samples, 0);
}

TEST(AudioFile, LengthsAreBoundedBySetting) {
  const TemporaryFolder folder;
  const auto path = write_sound(folder / "a.wav", kWav16, sine(1, 8000), 8000);
  const AudioLimits exactly{.min_seconds = 1, .max_seconds = 1, .silence_dbfs = -60};
  EXPECT_EQ(read_audio(path, exactly).samples.size(), 16000u);
  expect_fault(SpeechFault::too_long, "has 1 s, more than 0.9", path, {.max_seconds = 0.9});
  expect_fault(SpeechFault::too_short, "has 1 s, less than 1.1", path, {.min_seconds = 1.1});
}

TEST(AudioFile, EveryFaultHasItsName) {
  const TemporaryFolder folder;
  expect_fault(SpeechFault::missing, "No such file", folder / "nothing.wav");
  expect_fault(SpeechFault::missing, "not a regular file", folder.path());
  ASSERT_EQ(mkfifo((folder / "pipe.wav").c_str(), 0600), 0);
  expect_fault(SpeechFault::missing, "not a regular file", folder / "pipe.wav");
  expect_fault(SpeechFault::empty, "0 bytes", folder.write("a.wav", ""));
  expect_fault(SpeechFault::empty, "no samples", write_sound(folder / "a.wav", kWav16, {}));
  expect_fault(SpeechFault::foreign, "neither WAV", folder.write("a.wav", "ID3\x04 and an MP3 stream after it"));
  expect_fault(SpeechFault::foreign, "neither WAV", folder.write("a.wav", "RIFF"));
  expect_fault(SpeechFault::damaged, "cannot be decoded", folder.write("a.wav", std::string("RIFF\4\0\0\0WAVE", 12)));
  expect_fault(SpeechFault::unsupported, "encoding that is not read",
               write_sound(folder / "a.wav", SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, sine(1, 16000)));
  expect_fault(SpeechFault::unsupported, "40 channels",
               write_sound(folder / "a.wav", kWav16, sine(1, 16000, 40), 16000, 40));
  expect_fault(SpeechFault::unsupported, "at 3000 Hz", write_sound(folder / "a.wav", kWav16, sine(1, 3000), 3000));
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> frames = sine(1, 16000);
    frames[9000] = bad;
    expect_fault(SpeechFault::not_finite, "near sample 8192", write_sound(folder / "a.wav", kFloat, frames));
  }
  expect_fault(SpeechFault::overdriven, "divide them",
               write_sound(folder / "a.wav", kFloat, sine(1, 16000, 1, 440, 9000)));
}

TEST(AudioFile, NothingCutShortIsTaken) {
  const TemporaryFolder folder;
  const AudioLimits any{.min_seconds = 0, .max_seconds = 30, .silence_dbfs = -300};
  for (const int format :
       {kWav16, kFloat, kFlac, kVorbis, SF_FORMAT_OGG | SF_FORMAT_OPUS, SF_FORMAT_RF64 | SF_FORMAT_PCM_16}) {
    const std::string whole = bytes_of_file(write_sound(folder / "whole", format, sine(1, 16000)));
    EXPECT_NO_THROW(read_audio(folder / "whole", any));
    for (size_t keep = 1; keep < whole.size(); keep += keep < 300 ? 1 : 509) {
      folder.write("cut", whole.substr(0, keep));
      EXPECT_THROW(read_audio(folder / "cut", any), SpeechError) << std::hex << format << " " << std::dec << keep;
    }
    for (const size_t keep : {size_t(13), size_t(30), size_t(42), whole.size() * 2 / 3}) {
      folder.write("cut", whole.substr(0, keep));
      expect_fault(SpeechFault::truncated, "is truncated", folder / "cut", any);
    }
  }
}

TEST(AudioFile, DamageInsideIsNamed) {
  const TemporaryFolder folder;
  for (const int format : {kFlac, kVorbis}) {
    std::string bytes = bytes_of_file(write_sound(folder / "a", format, sine(1, 16000)));
    for (size_t i = 0; i < 40; ++i) bytes[bytes.size() / 2 + i] ^= char(0x5A + i);
    folder.write("a", bytes);
    EXPECT_THROW(read_audio(folder / "a", {}), SpeechError) << std::hex << format;
  }
  // Far from the end, FLAC's damage is not taken for a missing rest.
  std::vector<float> noise;
  for (uint64_t i = 0; i < 8 * 16000; ++i) noise.push_back(unit_float(philox({.seed = 1}, i)[0]) - 0.5f);
  std::string bytes = bytes_of_file(write_sound(folder / "a", kFlac, noise));
  ASSERT_GT(bytes.size(), 100'000u);
  for (size_t i = 0; i < 40; ++i) bytes[bytes.size() / 4 + i] ^= char(0x5A + i);
  folder.write("a", bytes);
  expect_fault(SpeechFault::damaged, "is damaged near sample", folder / "a", {});
}

}  // namespace hinoki::audio_file_test
