#include "data/audio_file.h"

#include <fcntl.h>
#include <sndfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <optional>

#include "data/audio_container.h"
#include "data/resampler.h"
#include "data/speech_shard.h"

namespace hinoki {
namespace {

constexpr int64_t kFrames = 4096;  // of a block
constexpr int kMostChannels = 32, kLowestRate = 4000, kHighestRate = 768000;
constexpr float kLoudest = 8;  // times full scale; far above it, the samples are no fractions of it
// Added to a float of 16 bits and taken off again, it rounds to the nearest even integer, without a call.
constexpr float kToInteger = 12582912;  // 1.5 * 2^23
constexpr int64_t kWindow = kSampleRate / 50;

void close_sound(int file) { ::close(file); }
using Descriptor = Handle<int, close_sound, -1>;
using Decoder = Handle<SNDFILE*, sf_close>;

struct Opened {
  Descriptor file;  // outlives its decoder
  int64_t bytes = 0;
  AudioContainer container = AudioContainer::wav;
  Decoder decoder;
  SF_INFO info = {};
  int encoding() const { return info.format & SF_FORMAT_SUBMASK; }
};

bool is_read(AudioContainer container, int encoding) {
  switch (encoding) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8:
    case SF_FORMAT_PCM_16:
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_PCM_32:
      return true;
    case SF_FORMAT_FLOAT:
    case SF_FORMAT_DOUBLE:
    case SF_FORMAT_ULAW:
    case SF_FORMAT_ALAW:
      return container == AudioContainer::wav;
    case SF_FORMAT_VORBIS:
    case SF_FORMAT_OPUS:
      return container == AudioContainer::ogg;
    default:
      return false;
  }
}

Opened open_audio(const std::filesystem::path& path) {
  Opened o;
  o.file = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe must not be waited for
  if (!o.file) refuse(SpeechFault::missing, "cannot be opened: ", std::strerror(errno));
  struct stat status {};
  if (fstat(o.file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    refuse(SpeechFault::missing, "is not a regular file");
  o.bytes = status.st_size;
  o.container = inspect_audio(o.file.get(), o.bytes);
  o.decoder = Decoder(sf_open_fd(o.file.get(), SFM_READ, &o.info, false));
  if (!o.decoder) refuse(SpeechFault::damaged, "cannot be decoded: ", sf_strerror(nullptr));
  if (!is_read(o.container, o.encoding()))
    refuse(SpeechFault::unsupported, "has an encoding that is not read (libsndfile's number ", o.encoding(),
           "); convert it to 16-bit PCM or FLAC");
  if (o.info.channels < 1 || o.info.channels > kMostChannels || o.info.samplerate < kLowestRate ||
      o.info.samplerate > kHighestRate)
    refuse(SpeechFault::unsupported, "has ", o.info.channels, " channels at ", o.info.samplerate, " Hz; up to ",
           kMostChannels, " channels at ", kLowestRate, " to ", kHighestRate, " Hz are read");
  if (o.info.frames <= 0) refuse(SpeechFault::empty, "holds no samples");
  return o;
}

// Checks after each block, so that a hostile length costs no more than the bytes that are there.
void check_progress(const Opened& o, sf_count_t wanted, sf_count_t got, int64_t before) {
  if (sf_error(o.decoder.get()) != SF_ERR_NO_ERROR) {
    // FLAC's decoder calls a frame that is not all there broken. It reads some thousand bytes ahead.
    if (o.container == AudioContainer::flac && lseek(o.file.get(), 0, SEEK_CUR) == o.bytes)
      refuse(SpeechFault::truncated, "is truncated, or damaged at its end: it promises ", o.info.frames, " samples, ",
             before + got, " can be read");
    refuse(SpeechFault::damaged, "is damaged near sample ", before + got, ": ", sf_strerror(o.decoder.get()));
  }
  if (got < wanted)
    refuse(SpeechFault::truncated, "is truncated: it promises ", o.info.frames, " samples, ", before + got,
           " are there");
}

void check_floats(std::span<const float> values, int64_t frame) {
  bool sane = true;
  for (const float v : values) sane &= std::fabs(v) <= kLoudest;  // false for NaN
  if (sane) return;
  for (const float v : values) {
    if (!std::isfinite(v))
      refuse(SpeechFault::not_finite, "holds samples that are NaN or infinite, near sample ", frame);
  }
  refuse(SpeechFault::overdriven, "holds float samples beyond ", kLoudest, ", near sample ", frame,
         "; full scale is 1: divide them");
}

void downmix(std::span<const float> frames, int channels, std::vector<float>& mono) {
  mono.resize(frames.size() / size_t(channels));
  if (channels == 1) {
    std::copy(frames.begin(), frames.end(), mono.begin());
  } else if (channels == 2) {
    for (size_t i = 0; i < mono.size(); ++i) mono[i] = 0.5f * (frames[2 * i] + frames[2 * i + 1]);
  } else {
    const float share = 1.0f / float(channels);
    for (size_t i = 0; i < mono.size(); ++i) {
      float sum = 0;
      for (int c = 0; c < channels; ++c) sum += frames[i * size_t(channels) + size_t(c)];
      mono[i] = sum * share;
    }
  }
}

void round_into(std::span<const float> mono, Audio& audio) {
  const size_t had = audio.samples.size();
  audio.samples.resize(had + mono.size());
  int16_t* out = audio.samples.data() + had;
  int64_t clipped = 0;
  for (size_t i = 0; i < mono.size(); ++i) {
    const float scaled = mono[i] * 32768.0f;
    clipped += scaled >= 32767.5f || scaled < -32768.5f;
    out[i] = int16_t(int32_t(std::clamp(scaled, -32768.0f, 32767.0f) + kToInteger - kToInteger));
  }
  audio.clipped_samples += clipped;
}

void read_as_stored(Opened& o, Audio& audio) {
  audio.samples.resize(size_t(o.info.frames));
  for (int64_t done = 0; done < o.info.frames;) {
    const sf_count_t wanted = std::min<int64_t>(kFrames, o.info.frames - done);
    const sf_count_t got = sf_readf_short(o.decoder.get(), audio.samples.data() + done, wanted);
    check_progress(o, wanted, got, done);
    done += got;
  }
}

void read_converted(Opened& o, Audio& audio) {
  const int channels = o.info.channels;
  std::optional<Resampler> resampler;
  if (audio.resampled) resampler.emplace(o.info.samplerate, kSampleRate);
  std::vector<float> frames(size_t(kFrames * channels)), mono, made;
  for (int64_t done = 0; done < o.info.frames;) {
    const sf_count_t wanted = std::min<int64_t>(kFrames, o.info.frames - done);
    const sf_count_t got = sf_readf_float(o.decoder.get(), frames.data(), wanted);
    check_progress(o, wanted, got, done);
    const std::span<const float> block(frames.data(), size_t(got * channels));
    check_floats(block, done);
    done += got;
    downmix(block, channels, mono);
    if (resampler) {
      made.clear();
      resampler->add(mono, done == o.info.frames, made);
      mono.swap(made);
    }
    round_into(mono, audio);
  }
}

// window(samples in it, is it silent) for each 20 ms.
template <class Window>
void for_each_window(const std::vector<int16_t>& samples, double silence_dbfs, Window&& window) {
  const double rms = 32768 * std::pow(10.0, silence_dbfs / 20), threshold = rms * rms;
  const auto count = int64_t(samples.size());
  for (int64_t begin = 0; begin < count; begin += kWindow) {
    const int64_t n = std::min(kWindow, count - begin);
    int64_t squares = 0;
    int32_t sum = 0;
    for (int64_t i = begin; i < begin + n; ++i) {
      sum += samples[i];
      squares += int32_t(samples[i]) * samples[i];
    }
    const double mean = double(sum) / double(n);
    window(n, double(squares) / double(n) - mean * mean < threshold);
  }
}

}  // namespace

int64_t count_silent(const std::vector<int16_t>& samples, double silence_dbfs) {
  int64_t count = 0;
  for_each_window(samples, silence_dbfs, [&](int64_t n, bool silent) { count += silent ? n : 0; });
  return count;
}

int64_t longest_silence(const std::vector<int16_t>& samples, double silence_dbfs) {
  int64_t longest = 0, now = 0;
  for_each_window(samples, silence_dbfs, [&](int64_t n, bool silent) {
    now = silent ? now + n : 0;
    longest = std::max(longest, now);
  });
  return longest;
}

Audio read_audio(const std::filesystem::path& path, const AudioLimits& limits) {
  Opened o = open_audio(path);
  const double seconds = double(o.info.frames) / o.info.samplerate;
  if (seconds > limits.max_seconds)
    refuse(SpeechFault::too_long, "has ", seconds, " s, more than ", limits.max_seconds);
  if (seconds < limits.min_seconds)
    refuse(SpeechFault::too_short, "has ", seconds, " s, less than ", limits.min_seconds);
  Audio audio;
  audio.resampled = o.info.samplerate != kSampleRate;
  audio.downmixed = o.info.channels > 1;
  audio.eight_bit = o.encoding() == SF_FORMAT_PCM_S8 || o.encoding() == SF_FORMAT_PCM_U8;
  audio.samples.reserve(size_t(seconds * double(kSampleRate)) + size_t(kFrames));
  if (!audio.resampled && !audio.downmixed && o.encoding() == SF_FORMAT_PCM_16)
    read_as_stored(o, audio);
  else
    read_converted(o, audio);
  if (audio.samples.empty()) refuse(SpeechFault::empty, "holds no samples");
  audio.silent_samples = count_silent(audio.samples, limits.silence_dbfs);
  if (audio.silent_samples == int64_t(audio.samples.size()))
    refuse(SpeechFault::silent, "is silent: no 20 ms of it reach ", limits.silence_dbfs, " dB of full scale");
  return audio;
}

}  // namespace hinoki
