#include "data/tokenizer.h"

#include <sentencepiece_processor.h>
#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "core/base/philox.h"
#include "data/utf8.h"
#include "tests/data/awkward.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::tokenizer_test {
namespace {

// The library itself, with the same model.
struct Library : sentencepiece::SentencePieceProcessor {
  explicit Library(const Tokenizer& t) { EXPECT_TRUE(LoadFromSerializedProto(t.bytes()).ok()); }
};

}  // namespace

TEST(Tokenizer, IdsAreTheLibrarysOn10000AwkwardLines) {
  for (const bool nfkc : {false, true}) {
    const Tokenizer& t = small_tokenizer(Newline::plain, nfkc);
    const Library library(t);
    int64_t pieces = 0;
    for (const std::string& line : awkward_lines(10000)) {
      const auto ids = t.encode(line);
      ASSERT_EQ(ids, library.EncodeAsIds(line)) << line;
      for (const int32_t id : ids) ASSERT_NE(id, t.unknown()) << line;
      pieces += int64_t(ids.size());
    }
    EXPECT_GT(pieces, 100000);
  }
}

// The same 10,000 lines, two in three of them joined to the next one by one to five newlines.
TEST(Tokenizer, IdsAreTheLibrarysOnRunsOfNewlines) {
  const auto lines = awkward_lines(10000);
  std::vector<std::string> texts{""};
  int64_t newlines = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Random4 r = philox({.seed = 3, .site = hash_name("newlines")}, i);
    texts.back() += lines[i];
    if (r[0] % 3 == 0) {
      texts.emplace_back();
    } else {
      const int64_t run = 1 + r[1] % 5;
      texts.back().append(size_t(run), '\n');
      newlines += run;
    }
  }
  EXPECT_GT(newlines, 15000);
  for (const bool nfkc : {false, true}) {
    const Tokenizer& t = small_tokenizer(Newline::plain, nfkc);
    const Library library(t);
    int64_t found = 0;
    for (const std::string& text : texts) {
      const auto ids = t.encode(text);
      ASSERT_EQ(ids, library.EncodeAsIds(text)) << text;
      found += std::count(ids.begin(), ids.end(), t.newline_ids().at(0));
      if (!nfkc) {
        ASSERT_EQ(t.decode(ids), text);
      }
    }
    EXPECT_EQ(found, newlines) << "every newline is a piece of its own";
  }
}

TEST(Tokenizer, IdsAreThoseOfSpmEncode) {
  const TemporaryFolder folder;
  const Tokenizer& t = small_tokenizer();
  std::string text;
  for (const std::string& line : awkward_lines(10000)) text += line + "\n";
  folder.write("spiece.model", t.bytes());
  folder.write("lines.txt", text);
  std::istringstream theirs(output_of("spm_encode --model=" + (folder / "spiece.model").string() +
                                      " --output_format=id " + (folder / "lines.txt").string() + " 2>/dev/null"));
  for (const std::string& line : awkward_lines(10000)) {
    std::string expected, ours;
    ASSERT_TRUE(std::getline(theirs, expected));
    for (const int32_t id : t.encode(line)) ours += (ours.empty() ? "" : " ") + std::to_string(id);
    ASSERT_EQ(ours, expected) << line;
  }
}

// The identity keeps every byte, except that U+2581 is how the library writes a space.
TEST(Tokenizer, DecodingGivesTheTextBack) {
  for (const Newline newline : {Newline::plain, Newline::symbol})
    for (const std::string& line : awkward_lines(3000)) {
      const Tokenizer& t = small_tokenizer(newline);
      const std::string text = line + "\n\n\n" + line + "\n";
      ASSERT_EQ(t.decode(t.encode(text)), text);
    }
}

TEST(Tokenizer, NfkcModelsDecodeToIcusNfkc) {
  const Tokenizer& t = small_tokenizer(Newline::plain, true);
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* nfkc = icu::Normalizer2::getNFKCInstance(status);
  ASSERT_TRUE(U_SUCCESS(status));
  for (const std::string& line : awkward_lines(3000)) {
    std::string expected;
    nfkc->normalize(icu::UnicodeString::fromUTF8(line), status).toUTF8String(expected);
    ASSERT_EQ(t.decode(t.encode(line)), expected) << line;
  }
}

TEST(Tokenizer, NewlineIsOnePieceUnderBothPolicies) {
  const Tokenizer& plain = small_tokenizer(Newline::plain);
  EXPECT_EQ(plain.newline(), Newline::plain);
  EXPECT_EQ(plain.encode("\n"), plain.newline_ids());
  EXPECT_EQ(plain.piece(plain.newline_ids().at(0)), "\n");
  const Tokenizer& symbol = small_tokenizer(Newline::symbol);
  EXPECT_EQ(symbol.newline(), Newline::symbol);
  EXPECT_EQ(symbol.newline_ids(), std::vector{symbol.id("<NL>")});
  EXPECT_EQ(symbol.encode("猫\n猫"), Library(symbol).EncodeAsIds("猫<NL>猫"));
  EXPECT_TRUE(plain.lines_are_independent() && symbol.lines_are_independent());
}

TEST(Tokenizer, SpecialIdsAreWhereTheDocumentationSays) {
  const Tokenizer& t = small_tokenizer();
  EXPECT_EQ(t.unknown(), 0);
  EXPECT_EQ(t.pad(), 1);
  EXPECT_EQ(t.bos(), 2);
  EXPECT_EQ(t.eos(), 3);
  EXPECT_EQ(t.piece(1), "[PAD]");
  EXPECT_EQ(t.size(), 480);
  EXPECT_EQ(t.hash().size(), 32u);
  EXPECT_EQ(t.decode(std::vector{2, 3, 1}), "");
  EXPECT_TRUE(t.is_control(3));
  for (const int32_t id : t.encode("</s>[PAD]<s>")) EXPECT_FALSE(t.is_control(id));
}

TEST(Tokenizer, StreamNeverGivesHalfACharacterAndAddsUpToTheWhole) {
  const Tokenizer& t = small_tokenizer();
  for (const std::string& line : awkward_lines(2000)) {
    StreamDecoder stream(t);
    std::string all;
    for (const int32_t id : t.encode(line)) {
      const std::string part = stream.feed(id);
      ASSERT_EQ(utf8_valid_until(part), part.size());
      all += part;
    }
    ASSERT_EQ(all + stream.finish(), line);
  }
}

TEST(Tokenizer, BrokenBytesDecodeAsTheLibraryDoes) {
  const Tokenizer& t = small_tokenizer();
  const Library library(t);
  const auto byte = [&](const char* hex) { return t.id(std::string("<0x") + hex + ">"); };
  const int32_t cat = t.encode("猫").at(0);
  const std::vector<std::vector<int32_t>> cases{{byte("E3"), byte("81")},
                                                {byte("E3"), byte("81"), cat},
                                                {byte("81"), byte("E3"), byte("81"), byte("82")},
                                                {byte("F0"), byte("9F"), byte("98"), byte("80"), byte("FF")},
                                                {byte("ED"), byte("A0"), byte("80")},
                                                {byte("C0"), byte("80"), cat, 0, cat}};
  for (const auto& ids : cases) EXPECT_EQ(t.decode(ids), library.DecodeIds(ids));
}

TEST(Tokenizer, ExplainsEveryPiece) {
  const Tokenizer& t = small_tokenizer();
  const auto pieces = explain(t, "吾輩は🐙");
  std::string surfaces;
  std::vector<int32_t> ids;
  for (const auto& p : pieces) {
    surfaces += p.surface;
    ids.push_back(p.id);
    EXPECT_EQ(p.piece, t.piece(p.id));
  }
  EXPECT_EQ(ids, t.encode("吾輩は🐙"));
  EXPECT_EQ(surfaces, "吾輩は🐙");
}

TEST(Tokenizer, FaultsNameTheFileAndTheRemedy) {
  const TemporaryFolder folder;
  EXPECT_ERROR(Tokenizer::load(folder / "none"), Exit::data, "hinoki tokenizer train");
  EXPECT_ERROR(Tokenizer::load(folder.write("empty", "")), Exit::data, "the file is empty");
  EXPECT_ERROR(Tokenizer::load(folder.write("junk", "not a model")), Exit::data, "junk");
  EXPECT_ERROR(small_tokenizer().piece(480), Exit::data, "480");
  EXPECT_ERROR(small_tokenizer().decode(std::vector{-1}), Exit::data, "-1");
  folder.write("spiece.model", small_tokenizer().bytes());
  EXPECT_EQ(Tokenizer::load(folder.path()).hash(), small_tokenizer().hash());
}

}  // namespace hinoki::tokenizer_test
