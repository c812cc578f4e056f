#include "data/tokenizer_training.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <set>

#include "data/text_prepare.h"
#include "data/utf8.h"
#include "tests/data/awkward.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::tokenizer_training_test {
namespace {

const TokenizerTraining kSmall{.vocabulary_size = 420, .sample_lines = 300};

std::string trained_from(const std::filesystem::path& folder, int threads) {
  TextPreparation text;
  text.inputs = {folder};
  text.threads = threads;
  LineSample sample(kSmall.sample_lines);
  for_each_line(text, [&](std::string_view line) { sample.add(line); });
  return train_tokenizer(kSmall, sample.take());
}

}  // namespace

TEST(TokenizerTraining, SameTextFromAnywhereGivesTheSameBytes) {
  const TemporaryFolder one, other;
  std::string text, reversed;
  auto lines = awkward_lines(1000);
  for (const auto& l : lines) text += l + "\n";
  std::reverse(lines.begin(), lines.end());
  for (const auto& l : lines) reversed += l + "\n";
  one.write("text.txt", text);
  other.write("far/away/b.txt", reversed);
  const std::string bytes = trained_from(one.path(), 1);
  EXPECT_EQ(bytes, trained_from(one.path(), 2));
  EXPECT_EQ(bytes, trained_from(other.path(), 2));
  EXPECT_EQ(bytes.find(one.path().string()), std::string::npos);
}

// The library draws lots, by a seed of its own, only to leave out lines: which it is never asked to do.
TEST(TokenizerTraining, LeavesNothingToChance) {
  std::vector<std::string> models;
  for (const unsigned seed : {1u, 2u}) {
    sentencepiece::SetRandomGeneratorSeed(seed);
    models.push_back(train_tokenizer(kSmall, awkward_lines(300)));
  }
  EXPECT_EQ(models[0], models[1]);
}

TEST(TokenizerTraining, KeepsSpacesAndSymbolsWhole) {
  TokenizerTraining settings = kSmall;
  settings.user_symbols = {"<speaker>", "a,b", "\"quoted\""};
  const Tokenizer t = Tokenizer::from_bytes(train_tokenizer(settings, awkward_lines(500)), "test");
  for (const std::string symbol : {"<speaker>", "a,b", "\"quoted\"", "\n"})
    EXPECT_EQ(t.encode(symbol), std::vector{t.id(symbol)}) << symbol;
  const std::string spaced = "  吾輩は  猫である   ";
  EXPECT_EQ(t.decode(t.encode(spaced)), spaced);
  EXPECT_EQ(t.piece(4), "[CLS]");
  EXPECT_TRUE(t.is_control(4));
  EXPECT_EQ(t.byte_value(t.id("<0xE3>")), 0xE3);
}

TEST(TokenizerTraining, FaultsSayWhatToChange) {
  EXPECT_ERROR(train_tokenizer({.vocabulary_size = 200}, {"猫"}), Exit::usage, "too small");
  EXPECT_ERROR(train_tokenizer({.vocabulary_size = 50000}, awkward_lines(100)), Exit::data,
               "50000 pieces on 100 lines");
  EXPECT_ERROR(train_tokenizer({}, {}), Exit::data, "no text");
  EXPECT_ERROR(LineSample(0), Exit::usage, "sample of 0");
}

TEST(LineSample, IsASubsetThatDoesNotDependOnOrder) {
  const auto lines = awkward_lines(5000);
  LineSample one(200), other(200), all(100000);
  for (const auto& l : lines) one.add(l), all.add(l);
  for (auto l = lines.rbegin(); l != lines.rend(); ++l) other.add(*l), other.add(*l);
  const auto kept = one.take(), everything = all.take();
  EXPECT_EQ(kept.size(), 200u);
  EXPECT_EQ(kept, other.take());
  EXPECT_EQ(one.seen(), 5000);
  EXPECT_TRUE(std::equal(kept.begin(), kept.end(), everything.begin()));
  EXPECT_EQ(std::set<std::string>(lines.begin(), lines.end()).size(), everything.size());
}

TEST(LineSample, CutsLongLines) {
  LineSample sample(100);
  std::string line;
  for (int i = 0; i < 2000; ++i) line += "猫" + std::to_string(i) + "。";
  sample.add(line);
  size_t bytes = 0;
  for (const std::string& part : sample.take()) {
    EXPECT_LE(part.size(), 4000u);
    EXPECT_TRUE(part.ends_with("。"));
    bytes += part.size();
  }
  EXPECT_EQ(bytes, line.size());
}

}  // namespace hinoki::tokenizer_training_test
