#include "data/text_clean.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>

#include "core/base/check.h"
#include "data/utf8.h"

namespace hinoki {
namespace {

// How far `s` is well-formed and free of what must go. The loop that nearly all text takes: ASCII, and three-byte
// characters whose second byte has no special range (all kana and kanji of the first plane among them).
size_t clean_until(std::string_view s) {
  const auto* p = reinterpret_cast<const uint8_t*>(s.data());
  const size_t n = s.size();
  size_t i = 0;
  while (i < n) {
    const uint8_t c = p[i];
    if (c < 0x80) {
      if ((c < 0x20 && c != '\t') || c == 0x7F) return i;
      ++i;
    } else if (c >= 0xE1 && c <= 0xEC && n - i >= 3) {
      if ((p[i + 1] & 0xC0) != 0x80 || (p[i + 2] & 0xC0) != 0x80) return i;
      i += 3;
    } else {
      const int length = utf8_length(s.substr(i));
      if (length <= 0) return i;
      if (c == 0xC2 && p[i + 1] < 0xA0) return i;                       // U+0080 to U+009F
      if (c == 0xEF && p[i + 1] == 0xBB && p[i + 2] == 0xBF) return i;  // U+FEFF
      i += size_t(length);
    }
  }
  return n;
}

void append_nfkc(std::string_view text, std::string& out) {
  UErrorCode status = U_ZERO_ERROR;
  static const icu::Normalizer2* const nfkc = icu::Normalizer2::getNFKCInstance(status);
  require(nfkc, "ICU has no NFKC data");
  icu::StringByteSink<std::string> sink(&out);
  nfkc->normalizeUTF8(0, icu::StringPiece(text.data(), int32_t(text.size())), sink, nullptr, status);
  require(U_SUCCESS(status), "ICU cannot normalise a line of ", text.size(), " bytes: ", u_errorName(status));
}

}  // namespace

std::optional<size_t> clean_line(std::string_view raw, const CleanSettings& settings, std::string& out,
                                 int64_t& replaced) {
  const size_t clean = clean_until(raw);
  if (clean == raw.size()) {
    settings.nfkc ? append_nfkc(raw, out) : void(out += raw);
    return std::nullopt;
  }
  std::string kept(raw.substr(0, clean));
  int64_t broken = 0;
  for (size_t at = clean; at < raw.size();) {
    const std::string_view rest = raw.substr(at);
    if (const size_t good = clean_until(rest)) {
      kept += rest.substr(0, good);
      at += good;
      continue;
    }
    const int length = utf8_length(rest);
    if (length <= 0) {
      if (settings.broken != BrokenText::replace) return at;
      kept += "\uFFFD";
      ++broken;
    }
    at += size_t(length > 0 ? length : 1);
  }
  replaced += broken;
  settings.nfkc ? append_nfkc(kept, out) : void(out += kept);
  return std::nullopt;
}

}  // namespace hinoki
