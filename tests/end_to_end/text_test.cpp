// hinoki data text as its users meet it: what it says of large inputs, and how little memory they take.
#include <gtest/gtest.h>

#include "core/base/check.h"
#include "data/utf8.h"
#include "tests/end_to_end/program.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::text_test {
namespace {

using test::expect_outcome;

// Under sanitizers, which slow everything down and take memory of their own, inputs are smaller and memory is not judged.
#ifdef __SANITIZE_ADDRESS__
constexpr int64_t kShare = 10, kMost = INT64_MAX, kMore = INT64_MAX / 2;
#else
constexpr int64_t kShare = 1, kMost = int64_t{512} << 20, kMore = 8 << 20;
#endif

std::string sentence(int64_t n) {
  return "行" + std::to_string(n) + "は、" + std::to_string(n * 7919 % 3001) + "です。";
}

struct Text {
  TemporaryFolder folder;
  int64_t characters = 0;  // of the text written last
  mutable int64_t next = 0;

  Text() {
    write("few.txt", 100'000, [](int64_t) { return "\n"; }, "\n");
    expect_outcome(0, {}, {"tokenizer", "train", "--input", path("few.txt"), "--output", path("tokenizer"),
                           "--vocabulary-size", "320"});
  }
  std::string path(const std::string& name) const { return (folder / name).string(); }

  // Sentences of which none comes twice, a little more than `bytes`; after the n-th stands `after(n)`.
  template <class After>
  void write(const std::string& name, int64_t bytes, After&& after, const std::string& end) {
    std::ofstream file(folder / name, std::ios::binary);
    std::string part;
    characters = 0;
    for (int64_t written = 0, n = 0; written < bytes; ++n) {
      const std::string text = sentence(next++);
      part += text;
      part += after(n);
      written += int64_t(text.size());
      characters += count_characters(text);
      if (part.size() < (1 << 20) && written < bytes) continue;
      file << part;
      part.clear();
    }
    file << end;
  }
  // Lines of so many characters, each of three bytes and none among those that the tokenizer has met.
  void write_rare(const std::string& name, const std::vector<int64_t>& lengths) {
    std::ofstream file(folder / name, std::ios::binary);
    uint32_t seed = 1;
    for (const int64_t length : lengths) {
      std::string line;
      for (int64_t i = 0; i < length; ++i)
        append_utf8(line, 0xac00 + ((seed = seed * 1664525 + 1013904223) >> 12) % 11000);
      file << line << '\n';
    }
  }
  test::Outcome prepare(const std::string& input, const std::vector<std::string>& parts,
                        const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"data",     "text",        "--input",   path(input), "--tokenizer", path("tokenizer"),
                                 "--output", path("out"), "--overwrite", "--validation-fraction", "0"};
    all.insert(all.end(), more.begin(), more.end());
    return expect_outcome(0, parts, all);
  }
};

}  // namespace

// By default, with duplicate lines dropped.
TEST(TextCommand, ALineOf200MegabytesIsCutAndNothingOfItIsLost) {
  Text t;
  t.write("line.txt", 200'000'000 / kShare, [](int64_t) { return ""; }, "\n");
  const test::Outcome done =
      t.prepare("line.txt", {" bytes, 1 lines\n", " 0 duplicate lines", "1 lines cut for their length", " 1 documents, ",
                             say(" ", t.characters, " characters, ")});
  EXPECT_LT(done.peak_memory, kMost);
}

// On more threads than a line takes memory for, with lines of many lengths on even more, and with JSONL records just
// below their limit of 16 MiB.
TEST(TextCommand, MemoryIsBoundOnManyThreads) {
  Text t;
  t.write("line.txt", 20'000'000 / kShare, [](int64_t) { return ""; }, "\n");
  EXPECT_LT(t.prepare("line.txt", {say(" ", t.characters, " characters, ")}, {"--threads", "8"}).peak_memory, kMost);
  int64_t left = 1, lines = 0;  // sentences of this line
  const auto end_line = [&](int64_t) {
    if (--left > 0) return "";
    constexpr int64_t lengths[] = {4000, 8000, 1, 30000, 500};
    left = lengths[lines++ % 5];
    return "\n";
  };
  t.write("lines.txt", 60'000'000 / kShare, end_line, "\n");
  EXPECT_LT(t.prepare("lines.txt", {say(" ", lines + 1, " lines\n")}, {"--threads", "64"}).peak_memory, kMost);
  std::ofstream records(t.folder / "records.jsonl");
  int64_t characters = 0;
  for (int i = 0; i < 3; ++i) {
    t.write("record", 16'000'000 / kShare, [](int64_t) { return ""; }, "");
    records << "{\"text\": \"" << bytes_of_file(t.folder / "record") << "\"}\n";
    characters += t.characters;
  }
  records.close();
  EXPECT_LT(t.prepare("records.jsonl", {say(" ", characters, " characters, ")}, {"--threads", "8"}).peak_memory, kMost);
}

// Characters that become bytes make three ids each: many lines whose ids wait for those of a long one before them, and
// many that are long for so many threads.
TEST(TextCommand, MemoryIsBoundOnManyThreadsWithRareCharacters) {
  Text t;
  std::vector<int64_t> waiting(2, 330'000 / kShare), long_ones;
  waiting.resize(2 + 2200 / kShare, 5'000);
  for (int i = 0; i < 80 / kShare; ++i) long_ones.insert(long_ones.end(), {30'000, 5'000, 10, 30'000, 5'000});
  for (const std::vector<int64_t>& lengths : {waiting, long_ones}) {
    t.write_rare("rare.txt", lengths);
    EXPECT_LT(t.prepare("rare.txt", {say(" ", lengths.size(), " lines\n")}, {"--threads", "64"}).peak_memory, kMost);
  }
}

TEST(TextCommand, MemoryIsFlat) {
  Text t;
  const auto peak = [&](int64_t bytes) {
    t.write("lines.txt", bytes, [](int64_t n) { return n % 20 == 19 ? "\n" : ""; }, "\n");
    return t.prepare("lines.txt", {"0 lines cut"}).peak_memory;
  };
  const int64_t small = peak(8'000'000 / kShare);
  EXPECT_LT(peak(64'000'000 / kShare), small + kMore);
}

}  // namespace hinoki::text_test
