// Text and tokens that are broken, empty, locked away, or not of this tokenizer.
#include <gtest/gtest.h>
#include <unistd.h>

#include "data/tokenizer_training.h"
#include "tests/end_to_end/tiny_program.h"

namespace hinoki::data_faults_test {
namespace {

using test::expect_outcome;

struct Text {
  test::TinyProgram p;
  mutable std::string out;  // of the last prepare()
  mutable int number = 0;

  std::string write(const std::string& name, const std::string& bytes) const {
    return p.tiny.folder.write(name, bytes).string();
  }
  std::vector<std::string> prepare(const std::string& input) const {
    out = p.path("out-" + std::to_string(number++));
    return {"data", "text", "--input", input, "--output", out, "--tokenizer", p.path("spiece.model")};
  }
};

// Where the tokens of a shard lie in its file: all that is written there repeats, so any long run of them will do.
int64_t inside_tokens(const std::string& shard) {
  const std::string bytes = bytes_of_file(shard);
  int64_t most = 0, at = 0;
  for (size_t i = 0; i + 512 <= bytes.size(); i += 512) {  // a block of tokens has a nonzero byte every two
    const auto zeros = std::count(bytes.begin() + int64_t(i), bytes.begin() + int64_t(i) + 512, '\0');
    if (512 - zeros > most) most = 512 - zeros, at = int64_t(i) + 256;
  }
  return at;
}

TEST(DataFaults, AFlippedBitInAShardIsNamed) {
  test::TinyProgram p;
  const std::string snapshot = p.newest_snapshot(p.trained());
  const std::string shard = p.path("tokens") + "/train-00000.h5", other = p.path("tokens") + "/validation-00000.h5";
  test::flip_bit(shard, inside_tokens(shard));
  const std::vector<std::string> parts = {"dataset tokens is damaged between tokens 0 and", "checksum mismatch",
                                          "run `hinoki data text` again"};
  std::vector<std::string> named = parts;
  named.push_back(shard);
  expect_outcome(3, named, {"train", p.config("again")});
  EXPECT_EQ(p.newest_snapshot(p.path("again")), "");
  expect_outcome(3, named, {"eval", snapshot, "--corpus", p.path("tokens")});
  test::flip_bit(other, inside_tokens(other));
  named.back() = other;
  expect_outcome(3, named, {"eval", snapshot, "--corpus", p.path("tokens"), "--no-ngrams"});
}

// Damage that training meets after a while: what was learned until then is saved, and a mended file loses nothing.
TEST(DataFaults, AFlippedBitInTheMiddleOfARunLosesNothing) {
  const Text t;
  std::vector<std::string> prepare = t.prepare(t.write("in.txt", test::numbered_lines(40000)));
  prepare.insert(prepare.end(), {"--documents", "line"});
  expect_outcome(0, {}, prepare);
  const auto train = [&](const std::string& name) {
    return std::vector<std::string>{"train",          t.p.config(name), "data.corpora.0.path=" + t.out,
                                    "train.steps=60", "train.batch=1",  "train.micro_batches=1"};
  };
  expect_outcome(0, {}, train("whole"));
  const std::string shard = t.out + "/train-00000.h5";
  const auto middle = int64_t(std::filesystem::file_size(shard) / 2);
  test::flip_bit(shard, middle);
  expect_outcome(3, {shard, "dataset tokens is damaged", "saved " + t.p.path("run") + "/snapshots/step-000000"},
                 train("run"));
  expect_outcome(0, {": whole"}, {"snapshot", "verify", t.p.path("run")});
  test::flip_bit(shard, middle);
  expect_outcome(0, {"resumed from"}, train("run"));
  EXPECT_TRUE(test::weights_of(t.p.newest_snapshot(t.p.path("run"))) ==
              test::weights_of(t.p.newest_snapshot(t.p.path("whole"))));
}

// What the last step needs is looked at before the first one.
TEST(DataFaults, WhatWouldFailAtTheEndFailsAtTheBeginning) {
  const Text t;
  const auto refused = [&](int code, const std::vector<std::string>& parts, const std::vector<std::string>& overrides) {
    std::vector<std::string> all = {"train", t.p.config("run")};
    all.insert(all.end(), overrides.begin(), overrides.end());
    EXPECT_EQ(expect_outcome(code, parts, all).err.find("step  1/"), std::string::npos)
        << "it trained before it failed";
  };
  std::string longest;
  for (int i = 0; i < 64; ++i) longest += "あ";
  refused(2, {"samples.prompts: \"あ", "the model's positions end at 64"}, {"samples.prompts=[\"" + longest + "\"]"});
  expect_outcome(0, {"step 20/20"}, {"train", t.p.config("run"), "samples.prompts=[\"\"]"});
  std::vector<std::string> prepare = t.prepare(t.write("few.txt", "猫\n犬\n空\n水\n本\n私\n"));
  prepare.insert(prepare.end(), {"--documents", "line", "--validation-fraction", "0.5"});
  expect_outcome(0, {}, prepare);
  std::filesystem::copy_file(t.out + "/validation-00000.h5", t.p.path("tokens/validation-00000.h5"),
                             std::filesystem::copy_options::overwrite_existing);
  refused(3, {t.p.path("tokens"), ": its validation split has 4 tokens, one sequence needs 17", "raise the validation fraction"},
          {"run=" + t.p.path("other")});
}

TEST(DataFaults, AShardThatIsCutShortOrEmpty) {
  const test::TinyProgram p;
  const std::string shard = p.path("tokens") + "/train-00000.h5", config = p.config("run");
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) / 2);
  expect_outcome(3, {shard, "cut short"}, {"train", config});
  std::filesystem::resize_file(shard, 0);
  expect_outcome(3, {shard, "is not an HDF5 file"}, {"train", config});
  std::filesystem::remove(shard);
  expect_outcome(3, {"has no shard \"train-00000.h5\""}, {"train", config});
  std::filesystem::remove_all(p.path("tokens"));
  expect_outcome(3, {"there is no corpus", "make it with `hinoki data text`"}, {"train", config});
}

TEST(DataFaults, ATokenizerThatIsNotTheShards) {
  const test::TinyProgram p;
  const std::string other = p.tiny.folder.write(
      "other.model", train_tokenizer({.vocabulary_size = 287, .sample_lines = 9},
                                     {"これは別の文です。", "そして、もう一つの文。", "犬は空を見る。"}));
  expect_outcome(3, {p.path("tokens"), "was made with the tokenizer", "use the spiece.model beside the shards"},
                 {"train", p.config("run"), "data.tokenizer=" + other});
  expect_outcome(2, {"has 320 pieces, more than model.vocab_size = 319"},
                 {"train", p.config("run"), "model.vocab_size=319"});
  expect_outcome(3, {"cannot open the tokenizer", p.path("none"), "make one with `hinoki tokenizer train`"},
                 {"train", p.config("run"), "data.tokenizer=" + p.path("none")});
  p.tiny.folder.write("bad.model", "this is no model");
  expect_outcome(3, {"bad.model is no sentencepiece model"},
                 {"train", p.config("run"), "data.tokenizer=" + p.path("bad.model")});
}

TEST(DataFaults, BrokenTextIsNamedByFileAndByte) {
  const Text t;
  const std::string broken = t.write("in/b.txt", "よい行。\nだめな\xE3\x81行。\n");
  expect_outcome(3, {broken, "broken UTF-8 at byte 22 (line 2)", "--broken-text"}, t.prepare(t.p.path("in")));
  EXPECT_TRUE(std::filesystem::exists(t.out + "/unfinished"));
  expect_outcome(3, {"is not finished; run `hinoki data text` again"},
                 {"train", t.p.config("run"), "data.corpora.0.path=" + t.out});
  std::vector<std::string> forgiving = t.prepare(t.p.path("in"));
  forgiving.insert(forgiving.end(), {"--broken-text", "replace"});
  expect_outcome(0, {"2 broken bytes replaced"}, forgiving);
  const std::string record = t.write("r/a.jsonl", "{\"text\": \"よい。\"}\n{\"text\": 5}\n");
  expect_outcome(3, {record, ":2: not a JSON record with a text: \"text\" is not a string"}, t.prepare(record));
  const std::string cut = t.write("c/a.jsonl", "{\"text\": \"よい。\"}\n{\"text\": \"だ");
  expect_outcome(3, {cut, ":2: not a JSON record"}, t.prepare(cut));
  expect_outcome(3, {"is damaged or not zstd"}, t.prepare(t.write("c/a.txt.zst", "no zstd at all")));
  expect_outcome(3, {"is not gzip"}, t.prepare(t.write("c/a.txt.gz", "no gzip at all")));
}

TEST(DataFaults, NothingToRead) {
  const Text t;
  expect_outcome(3, {"no text for training was left of 1 files (0 bytes)"}, t.prepare(t.write("empty.txt", "")));
  std::filesystem::create_directory(t.p.path("nothing"));
  expect_outcome(3, {"there are no files to read under", t.p.path("nothing")}, t.prepare(t.p.path("nothing")));
  expect_outcome(3, {"cannot read the input", t.p.path("none"), "No such file"}, t.prepare(t.p.path("none")));
  std::vector<std::string> few = t.prepare(t.write("few.txt", "猫\n犬\n空\n水\n本\n私\n"));
  few.insert(few.end(), {"--documents", "line", "--validation-fraction", "0.5"});
  expect_outcome(0, {"6 lines"}, few);
  expect_outcome(3, {"one sequence needs 17", "prepare more text"},
                 {"train", t.p.config("run"), "data.corpora.0.path=" + t.out});
  expect_outcome(3, {"there is no text to train a tokenizer on"},
                 {"tokenizer", "train", "--input", t.p.path("empty.txt"), "--output", t.p.path("t")});
}

// As a user for whom permissions hold.
TEST(DataFaults, LockedDoors) {
  const Text t;
  const test::Surroundings user{.unprivileged = true};
  const std::string open = t.p.path("open"), locked = t.p.path("open/locked");
  std::filesystem::create_directories(locked);
  t.write("open/a.txt", "読める。\n");
  std::filesystem::permissions(locked, std::filesystem::perms(0));
  const std::vector<std::string> prepare = {
      "data", "text", "--input", open, "--output", t.p.path("for-all/out"), "--tokenizer", t.p.path("spiece.model")};
  std::filesystem::create_directory(t.p.path("for-all"));
  std::filesystem::permissions(t.p.path("for-all"), std::filesystem::perms(0777));
  expect_outcome(3, {"cannot list the folder", locked, "Permission denied", "chmod u+rx"}, prepare, user);
  std::filesystem::remove(locked);
  std::filesystem::permissions(open + "/a.txt", std::filesystem::perms(0));
  expect_outcome(3, {"cannot read", open + "/a.txt", "Permission denied", "chmod u+r"}, prepare, user);
  std::filesystem::permissions(open + "/a.txt", std::filesystem::perms(0444));
  expect_outcome(0, {"1 documents"}, prepare, user);

  const std::string config = t.p.config("ours/run");
  std::filesystem::permissions(t.p.path("ours"), std::filesystem::perms(0555));
  expect_outcome(
      1, {"cannot create the folder " + t.p.path("ours") + "/run", "Permission denied", "make the folder writable"},
      {"train", config}, user);
  std::filesystem::permissions(t.p.path("ours"), std::filesystem::perms(0755));
  std::filesystem::create_directory(t.p.path("ours/run"));
  std::filesystem::permissions(t.p.path("ours/run"), std::filesystem::perms(0555));
  expect_outcome(1, {"cannot create " + t.p.path("ours/run") + "/run.lock", "make the folder writable"},
                 {"train", config}, user);
  std::filesystem::permissions(t.p.path("ours/run"), std::filesystem::perms(0755));
}

}  // namespace
}  // namespace hinoki::data_faults_test
