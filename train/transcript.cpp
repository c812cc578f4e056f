#include "train/transcript.h"

#include <cmath>
#include <cstdio>

#include "core/base/check.h"
#include "core/base/json.h"

namespace hinoki {
namespace {

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

void append_text(const TranscriptSegment& segment, std::string& text) {
  for (const TranscriptCharacter& c : segment.characters) {
    if (c.text == " " && text.ends_with(' ')) continue;
    text += c.text;
  }
}

double rounded_to_ms(double seconds) { return std::round(1000 * seconds) / 1000; }

// 01:02:03,456
std::string srt_time(double seconds) {
  const auto ms = int64_t(std::llround(1000 * seconds));
  char text[40];
  std::snprintf(text, sizeof text, "%02lld:%02d:%02d,%03d", static_cast<long long>(ms / 3600000), int(ms / 60000 % 60),
                int(ms / 1000 % 60), int(ms % 1000));
  return text;
}

}  // namespace

std::string TranscriptSegment::text() const {
  std::string text;
  append_text(*this, text);
  return trimmed(text);
}

std::string Transcript::text() const {
  std::string text;
  for (const TranscriptSegment& s : segments) append_text(s, text);
  return trimmed(text);
}

std::string as_text(const Transcript& transcript) {
  std::string text;
  for (const TranscriptSegment& s : transcript.segments) text += s.text() + "\n";
  return text;
}

std::string as_json(const Transcript& transcript, const std::string& path) {
  OrderedJson json{{"path", path},
                   {"seconds", rounded_to_ms(transcript.seconds)},
                   {"text", transcript.text()},
                   {"segments", OrderedJson::array()}};
  for (const TranscriptSegment& s : transcript.segments) {
    auto characters = OrderedJson::array();
    for (const TranscriptCharacter& c : s.characters)
      characters.push_back({{"text", c.text}, {"begin", rounded_to_ms(c.begin)}, {"end", rounded_to_ms(c.end)}});
    json["segments"].push_back({{"begin", rounded_to_ms(s.begin)},
                                {"end", rounded_to_ms(s.end)},
                                {"text", s.text()},
                                {"log_p", s.log_p},
                                {"characters", std::move(characters)}});
  }
  // A file's name need not be UTF-8.
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

std::string as_srt(const Transcript& transcript) {
  std::string text;
  for (size_t i = 0; i < transcript.segments.size(); ++i) {
    const TranscriptSegment& s = transcript.segments[i];
    text += say(i + 1, "\n", srt_time(s.begin), " --> ", srt_time(s.end), "\n", s.text(), "\n\n");
  }
  return text;
}

}  // namespace hinoki
