// What was said in a recording, and when.
#pragma once
#include <string>
#include <vector>

namespace hinoki {

struct TranscriptCharacter {
  std::string text;   // a space is one, too
  double begin, end;  // seconds
};

struct TranscriptSegment {
  double begin, end;  // seconds, of its first and last character
  double log_p;       // nats, of its text given its sound
  std::vector<TranscriptCharacter> characters;
  std::string text() const;  // without spaces at its ends
};

struct Transcript {
  double seconds = 0;  // of the recording
  std::vector<TranscriptSegment> segments;
  std::string text() const;  // of all, as if it had been decoded in one piece
};

// A line for each segment.
std::string as_text(const Transcript& transcript);
// One object on one line: path, seconds, text, segments [{begin, end, text, log_p, characters [{text, begin, end}]}].
std::string as_json(const Transcript& transcript, const std::string& path);
// SubRip: numbered cues with times to the millisecond.
std::string as_srt(const Transcript& transcript);

}  // namespace hinoki
