// What a sound file is by its content, and whether all of it is there. Decoders are forgiving about a missing end: they
// give what they have and say nothing.
#pragma once
#include <cstdint>

namespace hinoki {

enum class AudioContainer { wav, flac, ogg };

// `file` is an open descriptor of a regular file of `bytes` bytes. Throws SpeechError: empty, foreign, truncated,
// damaged. Where the samples of a FLAC file end is known to its decoder alone.
AudioContainer inspect_audio(int file, int64_t bytes);

}  // namespace hinoki
