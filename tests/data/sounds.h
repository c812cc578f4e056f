// Sound files for tests: sines, and files of any format that libsndfile writes.
#pragma once
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <string>
#include <vector>

#include "core/base/check.h"

namespace hinoki {

// `channels` interleaved; channel c is a sine of (c + 1) * `hertz`.
inline std::vector<float> sine(double seconds, int rate, int channels = 1, double hertz = 440, double loud = 0.5) {
  std::vector<float> out;
  for (int64_t i = 0; i < int64_t(std::llround(seconds * rate)); ++i)
    for (int c = 0; c < channels; ++c)
      out.push_back(float(loud * std::sin(2 * std::numbers::pi * hertz * (c + 1) * double(i) / rate)));
  return out;
}

// `format`: SF_FORMAT_WAV | SF_FORMAT_PCM_16 and the like.
inline std::filesystem::path write_sound(const std::filesystem::path& path, int format,
                                         const std::vector<float>& frames, int rate = 16000, int channels = 1) {
  std::filesystem::create_directories(path.parent_path());
  SF_INFO info{};
  info.samplerate = rate;
  info.channels = channels;
  info.format = format;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  require(file, path, ": ", sf_strerror(nullptr));
  sf_command(file, SFC_SET_CLIPPING, nullptr, SF_TRUE);
  sf_command(file, SFC_SET_ADD_PEAK_CHUNK, nullptr, SF_FALSE);  // it holds the time
  const auto count = sf_count_t(frames.size()) / channels;
  for (sf_count_t done = 0; done < count;) {  // the Vorbis encoder has too small a stack for all at once
    const sf_count_t n = std::min<sf_count_t>(4096, count - done);
    require(sf_writef_float(file, frames.data() + done * channels, n) == n, path, ": ", sf_strerror(file));
    done += n;
  }
  sf_close(file);
  return path;
}

inline constexpr int kWav16 = SF_FORMAT_WAV | SF_FORMAT_PCM_16;

}  // namespace hinoki
