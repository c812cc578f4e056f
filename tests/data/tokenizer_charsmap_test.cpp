#include "data/tokenizer_charsmap.h"

#include <gtest/gtest.h>
#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <map>

#include "core/base/philox.h"
#include "tests/data/awkward.h"
#include "tests/support/expect_error.h"

namespace hinoki::tokenizer_charsmap_test {
namespace {

std::u32string composed(const std::u32string& text) {
  UErrorCode status = U_ZERO_ERROR;
  const auto* nfc = icu::Normalizer2::getNFCInstance(status);
  const auto* units = reinterpret_cast<const UChar32*>(text.data());
  const icu::UnicodeString out = nfc->normalize(icu::UnicodeString::fromUTF32(units, int32_t(text.size())), status);
  std::u32string back(out.countChar32(), 0);
  out.toUTF32(reinterpret_cast<UChar32*>(back.data()), int32_t(back.size()), status);
  return back;
}

std::map<std::u32string, std::u32string> nfkc_entries() {
  std::map<std::u32string, std::u32string> out;
  const Tokenizer& t = small_tokenizer(Newline::plain, true);
  for (Replacement& r : replacements(spiece_spec(t.bytes(), "it").charsmap, "it")) out[r.from] = r.to;
  return out;
}

}  // namespace

TEST(Charsmap, HoldsTheKnownEntries) {
  const auto entries = nfkc_entries();
  EXPECT_EQ(entries.at(U"ｶ\uff9e"), U"ガ");
  EXPECT_EQ(entries.at(U"か\u3099"), U"が");
  EXPECT_EQ(entries.at(U"①"), U"1");
  EXPECT_EQ(entries.at(U"㍿"), U"株式会社");
  EXPECT_FALSE(entries.count(U"あ"));
  EXPECT_GT(entries.size(), 200'000u);
}

// What the export relies on: an entry of several characters is the composition of what the single ones become.
TEST(Charsmap, LongEntriesComposeTheShortOnes) {
  const auto entries = nfkc_entries();
  for (const auto& [from, to] : entries) {
    if (from.size() == 1) continue;
    std::u32string singles;
    for (const char32_t c : from) {
      const auto single = entries.find(std::u32string(1, c));
      singles += single == entries.end() ? std::u32string(1, c) : single->second;
    }
    ASSERT_EQ(composed(singles), to) << "entry of " << from.size() << " characters, first U+" << std::hex
                                     << uint32_t(from[0]);
  }
}

TEST(Charsmap, SpecSaysWhatTheTrainingSaid) {
  const Tokenizer& t = small_tokenizer();
  const SpieceSpec spec = spiece_spec(t.bytes(), "it");
  EXPECT_TRUE(spec.charsmap.empty() && !spec.add_dummy_prefix && !spec.remove_extra_whitespaces);
  EXPECT_TRUE(spec.escape_whitespaces && spec.unigram && spec.byte_fallback && !spec.whitespace_as_suffix);
  ASSERT_EQ(int32_t(spec.kinds.size()), t.size());
  for (int32_t id = 0; id < t.size(); ++id) {
    EXPECT_EQ(spec.kinds[id] == PieceKind::control, t.is_control(id));
    EXPECT_EQ(spec.kinds[id] == PieceKind::unknown, id == t.unknown());
    EXPECT_EQ(spec.kinds[id] == PieceKind::byte, t.byte_value(id) >= 0);
    EXPECT_EQ(spec.kinds[id] == PieceKind::user_symbol, t.piece(id) == "\n");
  }
}

TEST(Charsmap, CutModelsAreErrorsOrShorterModels) {
  const std::string& model = small_tokenizer().bytes();
  for (size_t size = 0; size < 3000; ++size) {
    try {
      EXPECT_LE(spiece_spec(model.substr(0, size), "it").kinds.size(), 3000u);
    } catch (const Error& e) {
      EXPECT_EQ(e.code, Exit::data) << e.what();
    }
  }
  EXPECT_ERROR(spiece_spec("\x0a\x7f", "it"), Exit::data, "past its end");
  EXPECT_ERROR(spiece_spec("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "it"), Exit::data, "more than 64 bits");
  EXPECT_ERROR(spiece_spec("\x0a\xff", "it"), Exit::data, "inside a number");
  EXPECT_ERROR(spiece_spec("\x0b", "it"), Exit::data, "unknown kind");
}

// Whatever is in it, reading ends, and stays inside: with the sanitizers this is the proof.
TEST(Charsmap, DamagedTreesAreErrorsOrOtherTrees) {
  const std::string good = spiece_spec(small_tokenizer(Newline::plain, true).bytes(), "it").charsmap;
  for (uint64_t i = 0; i < 8; ++i) {
    std::string bad = good;
    for (uint64_t j = 0; j < 20; ++j) {
      const Random4 random = philox({.seed = i}, j);
      bad[random[0] % bad.size()] = char(random[1]);
    }
    try {
      EXPECT_LT(replacements(bad, "it").size(), 4'000'000u);
    } catch (const Error& e) {
      EXPECT_EQ(e.code, Exit::data) << e.what();
    }
  }
  EXPECT_ERROR(replacements("abc", "it"), Exit::data, "too short");
  EXPECT_ERROR(replacements(std::string("\x08\0\0\0abcd", 8), "it"), Exit::data, "says its tree takes 8 bytes");
  EXPECT_ERROR(replacements(std::string("\0\0\0\0abcd", 8), "it"), Exit::data, "is empty");
}

}  // namespace hinoki::tokenizer_charsmap_test
