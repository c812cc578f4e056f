#include "data/text_pieces.h"

#include "data/json_text.h"
#include "data/text_clean.h"
#include "data/utf8.h"
#include "tests/data/awkward.h"
#include "tests/support/expect_error.h"

namespace hinoki::text_pieces_test {
namespace {

std::string cleaned(std::string_view raw, const CleanSettings& settings = {}) {
  std::string out;
  int64_t replaced = 0;
  const auto bad = clean_line(raw, settings, out, replaced);
  return bad ? "broken at " + std::to_string(*bad) : out;
}

// One letter for each piece: B border, _ blank, + a continued line, else its text.
std::string shape(const std::string& bytes, const PieceSettings& settings, bool json = false) {
  const TextFile file{.path = "f", .json_lines = json, .size = 0};
  TextBlock block;
  block.file = &file;
  block.opens_file = true;
  block.bytes = bytes;
  const TextPieces made = make_pieces(block, settings);
  std::string out;
  for (const TextPiece& p : made.pieces)
    out += p.kind == TextPiece::border  ? "B"
           : p.kind == TextPiece::blank ? "_"
                                        : "[" + std::string(made.text_of(p)) + "]";
  return out;
}

}  // namespace

TEST(Utf8, KnowsWellFormedFromBroken) {
  for (const char* good : {"a", "é", "あ", "𠮷", "\U0010FFFF", "\uD7FF", "\uE000", "\u0800", "\U00010000"})
    EXPECT_EQ(utf8_length(good), int(std::string(good).size())) << good;
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE3\x81\x41"})
    EXPECT_EQ(utf8_length(bad), 0) << bad;
  EXPECT_EQ(utf8_length("\xE3"), -1);
  EXPECT_EQ(utf8_length("\xE3\x81"), -2);
  EXPECT_EQ(utf8_length("\xF0\x9F\x98"), -3);
  EXPECT_EQ(utf8_valid_until("0123456789\xE3\x81"), 10u);
  EXPECT_EQ(count_characters("aあ𠮷"), 3);
  std::string all;
  for (const uint32_t c : {0x41u, 0xE9u, 0x3042u, 0x20BB7u}) append_utf8(all, c);
  EXPECT_EQ(all, "Aéあ𠮷");
}

TEST(CleanLine, RemovesControlCharactersAndKeepsTheRest) {
  EXPECT_EQ(cleaned("a\x01\x02"
                    "b\tc\x7F"
                    "d\r"),
            "ab\tcd");
  EXPECT_EQ(cleaned("\uFEFFあ\u0085い\u009Fう\u00A0"), "あいう\u00A0");
  EXPECT_EQ(cleaned(std::string("x\0y", 3)), "xy");
  for (const std::string& line : awkward_lines(2000)) EXPECT_EQ(cleaned(line), line);
}

TEST(CleanLine, NormalisesIfAsked) {
  EXPECT_EQ(cleaned("ｶﾞｷﾞｸﾞ１２３㌔か\u3099", {.nfkc = true}), "ガギグ123キロが");
  EXPECT_EQ(cleaned("ｶﾞ"), "ｶﾞ");
}

TEST(CleanLine, BrokenBytesAreReportedOrReplaced) {
  EXPECT_EQ(cleaned("あ\xE3\x81い"), "broken at 3");
  EXPECT_EQ(cleaned("\x01あ\xFF"), "broken at 4");
  std::string out;
  int64_t replaced = 0;
  EXPECT_FALSE(clean_line("あ\xE3\x81い\xFF", {.broken = BrokenText::replace}, out, replaced));
  EXPECT_EQ(out, "あ\uFFFD\uFFFDい\uFFFD");
  EXPECT_EQ(replaced, 3);
}

TEST(MakePieces, FindsDocumentsAsTheSettingSays) {
  const std::string text = "一\n二\n\n \u3000\n三\r\n";
  EXPECT_EQ(shape(text, {}), "B[一][二]__[三]");
  EXPECT_EQ(shape(text, {.documents = Documents::paragraph}), "B[一][二]BB[三]");
  EXPECT_EQ(shape(text, {.documents = Documents::line}), "B[一]B[二]B_B_B[三]B");
  EXPECT_EQ(shape("一\n二二\n三三三", {.min_characters = 2}), "B[二二][三三三]");
}

TEST(MakePieces, ReadsJsonRecords) {
  EXPECT_EQ(
      shape("{\"text\": \"一\\n\\n二\", \"id\": [1, {\"text\": \"no\"}]}\n\n{\"a\": 1, \"text\": \"\\uD842\\uDFB7\"}",
            {}, true),
      "BB[一]_[二]BB[𠮷]B");
  EXPECT_EQ(shape("{\"body\": \"一\"}", {.json_key = "body"}, true), "BB[一]B");
}

TEST(MakePieces, BadJsonIsReportedWithFileAndLine) {
  const auto says = [](const std::string& record, const char* what) {
    EXPECT_ERROR(shape("{\"text\": \"good\"}\n" + record + "\n", {}, true), Exit::data, "\"f\":2: ");
    EXPECT_ERROR(shape("{\"text\": \"good\"}\n" + record + "\n", {}, true), Exit::data, what);
  };
  says("{\"text\": \"", "column");
  says("{\"text\": 3}", "is not a string");
  says("{\"text\": [\"a\"]}", "is not a string");
  says("{\"texts\": \"a\"}", "there is no \"text\"");
  says("[\"text\"]", "not an object");
  says("\"text\"", "not an object");
  says("{\"text\": \"a\"} x", "column");
  says("{\"text\": \"\\uD842\"}", "surrogate");
  says("{\"a\": " + std::string(2000, '[') + std::string(2000, ']') + ", \"text\": \"a\"}", "nested too deeply");
}

TEST(MakePieces, BrokenTextIsReportedWithFileAndOffset) {
  EXPECT_ERROR(shape("一二\nab\xFF\n", {}), Exit::data, "\"f\": broken UTF-8 at byte 9 (line 2)");
  EXPECT_ERROR(shape("{\"text\": \"\xE3\x81\"}", {}, true), Exit::data, "broken UTF-8 at byte 10 (line 1)");
  EXPECT_EQ(shape("一\nab\xFF\n二", {.clean = {.broken = BrokenText::skip}}), "B[一][二]");
  EXPECT_EQ(shape("{\"text\": \"\xE3\"}\n{\"text\": \"a\"}", {.clean = {.broken = BrokenText::skip}}, true), "BB[a]B");
  EXPECT_EQ(shape("{\"text\": \"\xE3\"}", {.clean = {.broken = BrokenText::replace}}, true), "BB[\uFFFD]B");
}

}  // namespace hinoki::text_pieces_test
