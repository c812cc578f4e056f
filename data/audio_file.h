// One recording (WAV, FLAC, OGG by its content) as 16-bit samples at 16 kHz, one channel. What is converted:
//
//   channels   their mean
//   rate       resampled (data/resampler.h)
//   samples    rounded to 16 bits; what exceeds them is clipped, and counted. 16-bit audio at 16 kHz keeps its bits.
//
// Anything wrong is a SpeechError; nothing is guessed.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/speech_fault.h"

namespace hinoki {

struct AudioLimits {
  double min_seconds = 0.3, max_seconds = 30;
  // A window of 20 ms is silent if its RMS, its mean taken off, is below this (dB of full scale); a recording is if all
  // its windows are.
  double silence_dbfs = -60;
};

struct Audio {
  std::vector<int16_t> samples;
  int64_t silent_samples = 0;  // in silent windows
  int64_t clipped_samples = 0;
  bool resampled = false, downmixed = false, eight_bit = false;
};

// Memory: the longest recording that the limits allow, and a block, whatever the file holds.
Audio read_audio(const std::filesystem::path& path, const AudioLimits& limits);

// How many of `samples` lie in silent windows.
int64_t count_silent(const std::vector<int16_t>& samples, double silence_dbfs);
// Samples of the longest row of silent windows.
int64_t longest_silence(const std::vector<int16_t>& samples, double silence_dbfs);

}  // namespace hinoki
