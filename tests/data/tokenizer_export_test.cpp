#include "data/tokenizer_export.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "tests/data/awkward.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

// That the ids are sentencepiece's is shown by tests/interop/check_tokenizer.py, which runs the tokenizers library.
namespace hinoki {

TEST(TokenizerExport, WritesTheFilesOfAFolder) {
  const TemporaryFolder folder;
  const Tokenizer& t = small_tokenizer();
  folder.write("in.model", t.bytes());
  std::filesystem::create_directory(folder / "out");
  export_tokenizer(folder / "in.model", folder / "out");
  const auto read = [&](const char* file) { return read_file((folder / "out" / file).string(), 64 << 20); };
  EXPECT_EQ(read("spiece.model"), t.bytes());
  EXPECT_EQ(Json::parse(read("tokenizer.json")), Json(tokenizer_json(t, "it")));
  const Json config = Json::parse(read("tokenizer_config.json")), map = Json::parse(read("special_tokens_map.json"));
  EXPECT_EQ(config["eos_token"], t.piece(t.eos()));
  EXPECT_EQ(map, (Json{{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"pad_token", "[PAD]"}, {"unk_token", "<unk>"}}));
}

TEST(TokenizerExport, VocabularyKeepsIdsAndScores) {
  const Tokenizer& t = small_tokenizer();
  const Json vocabulary = tokenizer_json(t, "it")["model"]["vocab"];
  ASSERT_EQ(int32_t(vocabulary.size()), t.size());
  for (int32_t id = 0; id < t.size(); ++id) {
    ASSERT_EQ(vocabulary[id][0], t.piece(id));
    const bool spelt = !t.is_control(id) && id != t.unknown() && t.byte_value(id) < 0;
    ASSERT_EQ(vocabulary[id][1].get<double>(), spelt ? double(t.score(id)) : -1e6) << t.piece(id);
  }
}

TEST(TokenizerExport, OnlyControlsAreSpecialAndOnlyUserSymbolsBesides) {
  const Tokenizer& t = small_tokenizer(Newline::symbol);
  bool newline = false;
  const Json all = tokenizer_json(t, "it");
  for (const Json& token : all["added_tokens"]) {
    const int32_t id = token["id"];
    ASSERT_EQ(token["content"], t.piece(id));
    EXPECT_EQ(token["special"], t.is_control(id) || id == t.unknown()) << t.piece(id);
    newline |= token["content"].get<std::string>() == kNewlineSymbol;
  }
  EXPECT_TRUE(newline);
}

TEST(TokenizerExport, TheIdentityOnlyWritesSpaces) {
  const Json steps = tokenizer_json(small_tokenizer(), "it")["normalizer"]["normalizers"];
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0]["pattern"]["String"], " ");
}

TEST(TokenizerExport, RefusesWhatIsNoModel) {
  const TemporaryFolder folder;
  folder.write("in.model", "no model");
  EXPECT_ERROR(export_tokenizer(folder / "in.model", folder.path()), Exit::data, "no sentencepiece model");
  EXPECT_ERROR(export_tokenizer(folder / "none.model", folder.path()), Exit::data, "cannot open");
  EXPECT_FALSE(std::filesystem::exists(folder / "tokenizer.json"));
}

}  // namespace hinoki
