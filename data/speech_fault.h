// Why an utterance is not in a corpus: faults of the input, and rejects by the settings.
#pragma once
#include <array>
#include <stdexcept>
#include <string>

#include "core/base/check.h"

namespace hinoki {

enum class SpeechFault {
  manifest,     // a line that names no recording
  text,         // id, transcript or kana is not UTF-8
  missing,      // no such file, or it cannot be read
  empty,        // no bytes, or no samples
  foreign,      // neither WAV nor FLAC nor OGG, whatever its name says
  unsupported,  // an encoding, rate or channel count that is not read
  truncated,    // shorter than its header or its last page says
  damaged,      // the decoder found it broken
  not_finite,   // NaN or infinite samples
  overdriven,   // float samples far outside [-1, 1]
  silent,       // from here on: rejects
  too_short,
  too_long,
};

inline constexpr std::array kSpeechFaults = {"manifest",    "text",      "missing", "empty",      "foreign",
                                             "unsupported", "truncated", "damaged", "not_finite", "overdriven",
                                             "silent",      "too_short", "too_long"};
static_assert(kSpeechFaults.size() == size_t(SpeechFault::too_long) + 1);

inline const char* name_of(SpeechFault f) { return kSpeechFaults[size_t(f)]; }
inline bool is_reject(SpeechFault f) { return f >= SpeechFault::silent; }

// One utterance cannot be taken. Whoever prepares a corpus decides whether that ends the run.
struct SpeechError : std::runtime_error {
  SpeechError(SpeechFault fault, const std::string& why) : std::runtime_error(why), fault(fault) {}
  SpeechFault fault;
};

template <class... Parts>
[[noreturn]] void refuse(SpeechFault fault, const Parts&... why) {
  throw SpeechError(fault, say(why...));
}

}  // namespace hinoki
