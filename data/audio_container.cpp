#include "data/audio_container.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>

#include "data/speech_fault.h"

namespace hinoki {
namespace {

// Reads anywhere in a file, a window at a time.
class Window {
 public:
  Window(int file, int64_t bytes) : file_(file), bytes_(bytes) {}
  int64_t bytes() const { return bytes_; }

  // `count` bytes at `at`; fewer at the end of the file.
  std::string_view read(int64_t at, int64_t count) {
    if (at < begin_ || at + count > begin_ + size_) {
      const ssize_t n = pread(file_, buffer_, sizeof buffer_, at);
      if (n < 0) refuse(SpeechFault::damaged, "cannot be read at byte ", at, ": ", std::strerror(errno));
      begin_ = at;
      size_ = n;
    }
    return {buffer_ + (at - begin_), size_t(std::clamp<int64_t>(begin_ + size_ - at, 0, count))};
  }

 private:
  int file_;
  int64_t bytes_, begin_ = 0, size_ = 0;
  char buffer_[16384];
};

uint32_t u32(std::string_view b, bool big) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= uint32_t(uint8_t(b[i])) << (big ? 24 - 8 * i : 8 * i);
  return value;
}

// RIFF (RIFX: big-endian) or RF64: chunks of a name, a size and so many bytes. Only that of the samples must be whole.
void inspect_wav(Window& file, bool big) {
  constexpr uint32_t kUnknown = 0xFFFFFFFF;  // streamed; or, of RF64, in the chunk ds64
  const uint32_t promised = u32(file.read(4, 4), big);
  uint64_t long_size = 0;
  for (int64_t at = 12;;) {
    const std::string_view head = file.read(at, 8);
    if (head.size() < 8) {
      if (promised == kUnknown || int64_t{promised} + 8 > file.bytes())
        refuse(SpeechFault::truncated, "is truncated inside its header, at byte ", file.bytes());
      return;  // no samples: the decoder says so
    }
    const std::string_view name = head.substr(0, 4);
    uint64_t size = u32(head.substr(4), big);
    if (name == "ds64") {
      const std::string_view sizes = file.read(at + 8, 16);
      if (sizes.size() == 16) long_size = u32(sizes.substr(8), false) | uint64_t(u32(sizes.substr(12), false)) << 32;
      // The window may have moved: `name` is not looked at again.
    } else if (name == "data") {
      if (size == kUnknown && long_size == 0) return;
      if (size == kUnknown) size = long_size;
      const auto there = uint64_t(file.bytes() - at - 8);
      if (size > there)
        refuse(SpeechFault::truncated, "is truncated: its header promises ", size, " bytes of samples, ", there,
               " are there");
      return;
    }
    const uint64_t next = size + (size & 1);
    if (next > uint64_t(file.bytes() - at - 8))
      refuse(SpeechFault::truncated, "is truncated inside its header, at byte ", at);
    at += 8 + int64_t(next);
  }
}

// Blocks of a byte, a size of three bytes and so many bytes; the last one before the samples bears a mark.
void inspect_flac(Window& file) {
  for (int64_t at = 4;;) {
    const std::string_view head = file.read(at, 4);
    const bool whole = head.size() == 4, last = whole && (head[0] & 0x80) != 0;
    if (whole) at += 4 + (int64_t(u32(head, true)) & 0xFFFFFF);
    if (!whole || at > file.bytes())
      refuse(SpeechFault::truncated, "is truncated inside its header, at byte ", file.bytes());
    if (last) return;
  }
}

// Pages, each of a header, a table of sizes, and so many bytes; the last one bears a mark.
void inspect_ogg(Window& file) {
  bool last = false;
  for (int64_t at = 0; at < file.bytes();) {
    const std::string_view head = file.read(at, 27);
    if (!std::string_view("OggS").starts_with(head.substr(0, 4)))
      refuse(SpeechFault::damaged, "is damaged: no page begins at byte ", at);
    int64_t size = 27;
    if (head.size() == 27) {
      last = (head[5] & 4) != 0;
      const int64_t entries = uint8_t(head[26]);
      const std::string_view sizes = file.read(at + 27, entries);
      size += entries;
      for (const char s : sizes) size += uint8_t(s);
    }
    if (at + size > file.bytes())
      refuse(SpeechFault::truncated, "is truncated: the page at byte ", at, " is not whole");
    at += size;
  }
  if (!last) refuse(SpeechFault::truncated, "is truncated: its last page is missing");
}

}  // namespace

AudioContainer inspect_audio(int file, int64_t bytes) {
  if (bytes == 0) refuse(SpeechFault::empty, "is empty (0 bytes)");
  Window window(file, bytes);
  char start[12] = {};
  const std::string_view read = window.read(0, 12);
  std::copy(read.begin(), read.end(), start);
  const std::string_view magic(start, 4), form(start + 8, 4);
  if (magic == "fLaC") return inspect_flac(window), AudioContainer::flac;
  if (magic == "OggS") return inspect_ogg(window), AudioContainer::ogg;
  if ((magic == "RIFF" || magic == "RIFX" || magic == "RF64") && form == "WAVE")
    return inspect_wav(window, magic == "RIFX"), AudioContainer::wav;
  refuse(SpeechFault::foreign, "is neither WAV nor FLAC nor OGG by its content; convert it (ffmpeg -i FILE FILE.flac)");
}

}  // namespace hinoki
