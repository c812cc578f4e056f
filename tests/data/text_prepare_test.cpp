#include "data/text_prepare.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/token_corpus.h"
#include "data/token_shard.h"
#include "tests/data/awkward.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::text_prepare_test {
namespace {

using Path = std::filesystem::path;

std::vector<std::string> documents_of(const Path& folder, const std::string& split, const Tokenizer& t) {
  const TokenCorpus corpus(folder, split, t.hash());
  std::vector<std::string> documents;
  int64_t begin = 0, first = 0;
  for (int64_t s = 0; s < corpus.shards(); ++s) {
    const auto ends = corpus.document_ends(s);
    for (const int64_t end : ends) {
      std::vector<int32_t> ids(first + end - begin);
      corpus.read(begin, ids);
      EXPECT_EQ(ids.back(), t.eos());
      documents.push_back(t.decode(ids));
      begin = first + end;
    }
    first = begin;
  }
  EXPECT_EQ(first, corpus.tokens());
  return documents;
}

// 40 files of awkward lines, some of them twice, with blank lines among them.
void write_inputs(const TemporaryFolder& folder) {
  const auto lines = awkward_lines(4000);
  for (int64_t f = 0; f < 40; ++f) {
    std::string text;
    for (int64_t i = 0; i < 200; ++i) {
      text += lines[(f * 90 + i) % 4000] + "\n";
      if (i % 17 == 0) text += "\n";
    }
    folder.write("in/" + std::to_string(100 + f) + ".txt", text);
  }
}

TextPreparation settings_for(const TemporaryFolder& folder, const std::string& output) {
  return {.inputs = {folder / "in"},
          .output = folder / output,
          .validation_fraction = 0.2,
          .shard_tokens = 30000,
          .threads = 2};
}

}  // namespace

TEST(TextPrepare, DocumentsComeBackAsTheyWere) {
  const TemporaryFolder folder;
  folder.write("in/a.txt", "一行目\n二行目\n\n\n　字下げ\n");
  folder.write("in/b.jsonl", "{\"text\": \"三\\n四\"}\n{\"text\": \"  空白  \"}\n");
  folder.write("in/c.txt", "");
  for (const Newline newline : {Newline::plain, Newline::symbol}) {
    const Tokenizer& t = small_tokenizer(newline);
    TextPreparation settings = settings_for(folder, newline == Newline::plain ? "plain" : "symbol");
    settings.validation_fraction = 0;
    const TextReport report = prepare_text(t, settings);
    EXPECT_EQ(documents_of(settings.output, "train", t),
              (std::vector<std::string>{"一行目\n二行目\n\n　字下げ", "三\n四", "  空白  "}));
    EXPECT_EQ(report.files, 3);
    EXPECT_EQ(report.empty_files, 1);
    EXPECT_EQ(report.pieces.records, 2);
    EXPECT_EQ(report.train.characters, 13 + 3 + 6);
    EXPECT_EQ(report.train.bytes, int64_t(std::string("一行目\n二行目\n\n　字下げ三\n四  空白  ").size()));
    // Line by line gives the ids of the whole text.
    const TokenCorpus corpus(settings.output, "train", t.hash());
    const auto whole = t.encode("一行目\n二行目\n\n　字下げ");
    std::vector<int32_t> stored(whole.size());
    corpus.read(0, stored);
    EXPECT_EQ(stored, whole);
  }
}

TEST(TextPrepare, DuplicatesAndShortLinesAreDroppedAndCounted) {
  const TemporaryFolder folder;
  folder.write("in/a.txt", "長い行である\n短\n長い行である\n\n別の行である\n");
  folder.write("in/b.txt", "別の行である\n三つ目の行である\n");
  folder.write("in/c.txt", "長い行である\n短\n");
  const Tokenizer& t = small_tokenizer();
  TextPreparation settings = settings_for(folder, "out");
  settings.validation_fraction = 0;
  settings.pieces.min_characters = 2;
  const TextReport report = prepare_text(t, settings);
  EXPECT_EQ(documents_of(settings.output, "train", t),
            (std::vector<std::string>{"長い行である\n\n別の行である", "三つ目の行である"}));
  EXPECT_EQ(report.documents.duplicate_lines, 3);
  EXPECT_EQ(report.documents.emptied_documents, 1);
  EXPECT_EQ(report.pieces.short_dropped, 2);
  EXPECT_EQ(report.pieces.lines, 8);
}

TEST(TextPrepare, DuplicateDocumentsAreDropped) {
  const TemporaryFolder folder;
  folder.write("in/a.txt", "一\n二\n\n三\n\n一\n二\n\n一\n");
  folder.write("in/b.jsonl", "{\"text\": \"三\"}\n{\"text\": \"四\"}\n");
  const Tokenizer& t = small_tokenizer();
  TextPreparation settings = settings_for(folder, "out");
  settings.validation_fraction = 0;
  settings.deduplicate = Deduplicate::document;
  settings.pieces.documents = Documents::paragraph;
  const TextReport report = prepare_text(t, settings);
  EXPECT_EQ(documents_of(settings.output, "train", t), (std::vector<std::string>{"一\n二", "三", "一", "四"}));
  EXPECT_EQ(report.documents.duplicate_documents, 2);
  EXPECT_EQ(report.train.documents, 4);
}

// A line of some mebibytes whose parts are all alike: nothing of it is a duplicate.
std::string long_line(const std::string& sentence) {
  std::string line;
  while (line.size() < (5 << 19)) line += sentence;
  return line;
}

TEST(TextPrepare, LongLinesStayOneDocument) {
  const TemporaryFolder folder;
  const std::string line = long_line("吾輩は猫である。");
  folder.write("in/a.txt", "前\n" + line + "\n後\n");
  const Tokenizer& t = small_tokenizer();
  for (const Deduplicate deduplicate : {Deduplicate::line, Deduplicate::document, Deduplicate::none}) {
    TextPreparation settings = settings_for(folder, "out-" + std::to_string(int(deduplicate)));
    settings.validation_fraction = 0;
    settings.deduplicate = deduplicate;
    const TextReport report = prepare_text(t, settings);
    EXPECT_TRUE(documents_of(settings.output, "train", t) == std::vector{"前\n" + line + "\n後"});
    EXPECT_EQ(report.pieces.cut, 1);
    EXPECT_EQ(report.pieces.lines, 3);
    EXPECT_EQ(report.documents.duplicate_lines, 0);
  }
}

// A long line is a duplicate as a whole, wherever it is cut, and not if it only begins or ends like another one.
TEST(TextPrepare, LongLinesAreDuplicatesAsAWhole) {
  const TemporaryFolder folder;
  const std::string line = long_line("吾輩は猫である。"), longer = line + "名前は無い。", late = "さて、" + line;
  folder.write("in/a.txt", "前\n" + line + "\n" + longer + "\n" + line + "\n後\n");
  folder.write("in/b.jsonl", "{\"text\": \"" + line + "\\n" + late + "\"}\n{\"text\": \"" + longer + "\"}\n");
  folder.write("in/c.txt", line + "\n前\n" + late);
  const Tokenizer& t = small_tokenizer();
  TextPreparation settings = settings_for(folder, "out");
  settings.validation_fraction = 0;
  const TextReport report = prepare_text(t, settings);
  EXPECT_TRUE(documents_of(settings.output, "train", t) ==
              (std::vector<std::string>{"前\n" + line + "\n" + longer + "\n後", late}));
  EXPECT_EQ(report.pieces.lines, 11);
  EXPECT_EQ(report.pieces.cut, 8);
  EXPECT_EQ(report.documents.duplicate_lines, 6);
  EXPECT_EQ(report.documents.emptied_documents, 2);
}

// A broken part that is skipped leaves a gap in its line, which is one line for all that.
TEST(TextPrepare, AGapDoesNotDivideALongLine) {
  const TemporaryFolder folder;
  const std::string good = long_line("吾輩は猫である。");
  const std::string first_broken = "\xFF" + good, middle_broken = good.substr(0, 3 << 19) + "\xFF" + good;
  folder.write("in/a.txt", "前\n前\n" + first_broken + "\n" + middle_broken + "\n");
  folder.write("in/b.txt", middle_broken + "\n" + first_broken + "\n後\n");
  const Tokenizer& t = small_tokenizer();
  TextPreparation settings = settings_for(folder, "out");
  settings.validation_fraction = 0;
  settings.pieces.clean.broken = BrokenText::skip;
  const TextReport report = prepare_text(t, settings);
  const auto documents = documents_of(settings.output, "train", t);
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_TRUE(documents[0].starts_with("前\n\n吾輩は猫である。"));
  EXPECT_EQ(documents[1], "後");
  EXPECT_EQ(report.pieces.broken_dropped, 4);
  EXPECT_EQ(report.documents.duplicate_lines, 3);  // the second 前, and both lines of the other file
  const int64_t stop = std::string("。").size(), part = 1 << 20;
  EXPECT_GT(report.train.bytes, int64_t(first_broken.size() + middle_broken.size()) - 2 * part - 100);
  EXPECT_LT(report.train.bytes, int64_t(first_broken.size() + middle_broken.size()) - 2 * (part / 2 - stop));
}

TEST(TextPrepare, BytesDoNotDependOnThreadsTimeOrPlace) {
  const TemporaryFolder folder;
  write_inputs(folder);
  const Tokenizer& t = small_tokenizer();
  TextPreparation settings = settings_for(folder, "one");
  const TextReport report = prepare_text(t, settings);
  EXPECT_GT(report.train.shards, 1);
  EXPECT_GT(report.validation.documents, 0);
  EXPECT_EQ(report.train.documents + report.validation.documents, 40);
  EXPECT_GT(report.documents.duplicate_lines, 1000);
  const auto first = bytes_of_files(folder / "one");
  sleep(1);  // a time stored anywhere would differ
  for (const int threads : {1, 2, 7}) {
    settings.output = folder / ("threads-" + std::to_string(threads));
    settings.threads = threads;
    prepare_text(t, settings);
    EXPECT_EQ(bytes_of_files(settings.output), first) << threads;
  }
}

TEST(TextPrepare, SplitFollowsTheDocumentAlone) {
  const TemporaryFolder folder;
  write_inputs(folder);
  const Tokenizer& t = small_tokenizer();
  TextPreparation settings = settings_for(folder, "all");
  settings.deduplicate = Deduplicate::none;
  prepare_text(t, settings);
  const auto validation = documents_of(folder / "all", "validation", t);
  ASSERT_GT(validation.size(), 1u);
  // The same documents alone fall to the same side.
  settings.output = folder / "half";
  for (int64_t f = 0; f < 20; ++f) std::filesystem::remove(folder / ("in/" + std::to_string(100 + f) + ".txt"));
  prepare_text(t, settings);
  const auto half = documents_of(folder / "half", "validation", t);
  EXPECT_FALSE(half.empty());
  for (const std::string& d : half) EXPECT_NE(std::find(validation.begin(), validation.end(), d), validation.end());
}

TEST(TextPrepare, KilledAndRunAgainGivesTheSameBytes) {
  const TemporaryFolder folder;
  write_inputs(folder);
  const Tokenizer& t = small_tokenizer();
  TextPreparation settings = settings_for(folder, "undisturbed");
  settings.shard_tokens = 3000;
  const TextReport report = prepare_text(t, settings);
  settings.output = folder / "killed";
  int64_t killed_at_work = 0;
  // Killed as soon as the n-th shard is there.
  for (const int64_t n : {0, 3, 9}) {
    const pid_t child = fork();
    if (child == 0) {
      prepare_text(t, settings);
      _exit(0);
    }
    ASSERT_GT(child, 0);
    bool ended = false;
    while (!std::filesystem::exists(shard_path(settings.output, "train", n)) && !ended) {
      usleep(100);
      ended = waitpid(child, nullptr, WNOHANG) != 0;
    }
    if (!ended) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    killed_at_work += std::filesystem::exists(settings.output / kUnfinished);
    if (std::filesystem::exists(settings.output / kUnfinished)) {
      EXPECT_ERROR(TokenCorpus(settings.output, "train", t.hash()), Exit::data, "is not finished");
    }
    std::filesystem::remove(shard_path(settings.output, "train", n));
  }
  EXPECT_GT(killed_at_work, 0);
  ASSERT_GT(report.train.shards, 10);
  prepare_text(t, settings);
  EXPECT_EQ(bytes_of_files(folder / "killed"), bytes_of_files(folder / "undisturbed"));
}

TEST(TextPrepare, FinishedCorpusIsReusedAndNeverOverwrittenByAccident) {
  const TemporaryFolder folder;
  write_inputs(folder);
  const Tokenizer& t = small_tokenizer();
  TextPreparation settings = settings_for(folder, "out");
  const TextReport first = prepare_text(t, settings);
  EXPECT_FALSE(first.reused);
  const TextReport again = prepare_text(t, settings);
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(again.train.tokens, first.train.tokens);
  settings.pieces.min_characters = 5;
  EXPECT_ERROR(prepare_text(t, settings), Exit::usage, "min_characters = 0 and not 5");
  settings.overwrite = true;
  EXPECT_LT(prepare_text(t, settings).train.tokens, first.train.tokens);
}

TEST(TextPrepare, FaultsSayWhatIsWrong) {
  const TemporaryFolder folder;
  const Tokenizer& t = small_tokenizer();
  folder.write("in/empty.txt", "");
  EXPECT_ERROR(prepare_text(t, settings_for(folder, "out")), Exit::data, "no text for training was left of 1 files");
  EXPECT_ERROR(TokenCorpus(folder / "out", "train", ""), Exit::data, "is not finished");
  folder.write("in/broken.txt", "ab\n\xFFx\n");
  EXPECT_ERROR(prepare_text(t, settings_for(folder, "out")), Exit::data, "broken.txt\": broken UTF-8 at byte 3");
  TextPreparation settings = settings_for(folder, "out");
  settings.validation_fraction = 1;
  EXPECT_ERROR(prepare_text(t, settings), Exit::usage, "must be in [0, 1)");
  EXPECT_ERROR(prepare_text(t, settings_for(folder, "in/empty.txt/out")), Exit::data, "cannot make the folder");
}

}  // namespace hinoki::text_prepare_test
