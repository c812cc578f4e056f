#include "data/text_source.h"

#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <functional>

#include "data/text_pieces.h"
#include "data/utf8.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::text_source_test {
namespace {

std::vector<TextBlock> blocks_of(TextSource& source) {
  std::vector<TextBlock> blocks;
  while (auto b = source.next()) blocks.push_back(std::move(*b));
  return blocks;
}

std::string joined(const std::vector<TextBlock>& blocks) {
  std::string all;
  for (const auto& b : blocks) all += b.bytes;
  return all;
}

std::string numbered_lines(int64_t count) {
  std::string text;
  for (int64_t i = 0; i < count; ++i) text += "行" + std::to_string(i) + "である。\n";
  return text;
}

void write_gzip(const std::filesystem::path& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb1");
  gzwrite(file, text.data(), unsigned(text.size()));
  gzclose(file);
}

void write_zstd(const std::filesystem::path& path, const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 1));
  std::ofstream(path, std::ios::binary) << packed;
}

// Runs `body` in a child that is nobody, where permissions bite; gives what it threw.
std::string error_as_nobody(const std::function<void()>& body) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::string said = "no error";
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) said = "cannot become nobody";
    try {
      body();
    } catch (const Error& e) {
      said = "exit " + std::to_string(int(e.code)) + ": " + e.what();
    }
    if (write(ends[1], said.data(), said.size()) < 0) _exit(1);
    _exit(0);
  }
  close(ends[1]);
  char text[4096];
  const ssize_t n = read(ends[0], text, sizeof text);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return std::string(text, size_t(std::max<ssize_t>(n, 0)));
}

}  // namespace

TEST(TextSource, BlocksAreWholeLinesAndLoseNothing) {
  const TemporaryFolder folder;
  const std::string text = numbered_lines(60000);  // 1.3 MB
  TextSource source(list_text_files(std::vector{folder.write("a.txt", text)}));
  const auto blocks = blocks_of(source);
  ASSERT_GT(blocks.size(), 4u);
  EXPECT_EQ(joined(blocks), text);
  int64_t offset = 0, line = 1;
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(blocks[i].number, int64_t(i));
    EXPECT_EQ(blocks[i].offset, offset);
    EXPECT_EQ(blocks[i].line, line);
    EXPECT_EQ(blocks[i].opens_file, i == 0);
    EXPECT_TRUE(blocks[i].bytes.ends_with('\n'));
    EXPECT_LE(blocks[i].bytes.size(), kTextBlock);
    offset += int64_t(blocks[i].bytes.size());
    line += std::count(blocks[i].bytes.begin(), blocks[i].bytes.end(), '\n');
  }
}

TEST(TextSource, CompressedFilesGiveTheSameBlocks) {
  const TemporaryFolder folder;
  const std::string text = numbered_lines(60000);
  write_gzip(folder / "a.gz", text);
  write_zstd(folder / "a.zst", text);
  folder.write("a.txt", text);
  for (const char* name : {"a.gz", "a.zst"}) {
    TextSource plain(list_text_files(std::vector{folder / "a.txt"}));
    TextSource packed(list_text_files(std::vector{folder / name}));
    for (;;) {
      const auto one = plain.next(), other = packed.next();
      ASSERT_EQ(one.has_value(), other.has_value());
      if (!one) break;
      ASSERT_EQ(one->bytes, other->bytes);
    }
  }
}

TEST(TextSource, DamagedCompressedFilesAreNamed) {
  const TemporaryFolder folder;
  const std::string text = numbered_lines(20000);
  write_gzip(folder / "cut.gz", text);
  write_zstd(folder / "cut.zst", text);
  for (const char* name : {"cut.gz", "cut.zst"}) {
    const std::string bytes = bytes_of_file(folder / name);
    folder.write(name, bytes.substr(0, bytes.size() - 100));
    TextSource source(list_text_files(std::vector{folder / name}));
    EXPECT_ERROR(blocks_of(source), Exit::data, name);
    folder.write(name, "this is not compressed");
    TextSource other(list_text_files(std::vector{folder / name}));
    EXPECT_ERROR(blocks_of(other), Exit::data, name);
  }
}

TEST(TextSource, FoldersAreReadInOrderWithoutHiddenFiles) {
  const TemporaryFolder folder;
  folder.write("b/2.txt", "二\n");
  folder.write("b/10.jsonl", "{\"text\": \"十\"}");
  folder.write("a.txt", "一\n");
  folder.write(".hidden", "x");
  folder.write("b/.git/x", "x");
  std::filesystem::create_directory_symlink(folder.path(), folder / "loop");
  const auto files = list_text_files(std::vector{folder.path()});
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].path, folder / "a.txt");
  EXPECT_EQ(files[1].path, folder / "b/10.jsonl");
  EXPECT_TRUE(files[1].json_lines);
  EXPECT_EQ(files[2].path, folder / "b/2.txt");
}

// A line of 20 MB: cut after a full stop where there is one, between characters where there is none.
TEST(TextSource, LongLinesAreCutAtFullStopsOrCharacters) {
  const TemporaryFolder folder;
  std::string line;
  while (line.size() < (10 << 20)) line += "これはとても長い行である。";
  while (line.size() < (20 << 20)) line += "あ";
  const std::string text = "短い行\n" + line + "\n終わり\n";
  TextSource source(list_text_files(std::vector{folder.write("long.txt", text)}));
  const auto blocks = blocks_of(source);
  EXPECT_EQ(joined(blocks), text);
  PieceCounts counts;
  size_t stops = 0;
  std::string pieces;
  for (const auto& b : blocks) {
    const TextPieces made = make_pieces(b, {});
    counts.add(made.counts);
    for (const TextPiece& p : made.pieces) {
      if (p.kind != TextPiece::text) continue;
      const auto part = made.text_of(p);
      EXPECT_LE(part.size(), kLongestLine);
      EXPECT_EQ(utf8_valid_until(part), part.size());
      stops += b.cuts_line && part.ends_with("。");
      if (!p.continues && !pieces.empty()) pieces += '\n';
      pieces += part;
    }
  }
  EXPECT_EQ(pieces + "\n", text);
  EXPECT_EQ(counts.lines, 3);
  EXPECT_EQ(counts.cut, 1);
  EXPECT_EQ(stops, 10u);  // one in every mebibyte of the first half
}

TEST(TextSource, LinesOfExactlyTheLimitAreNotCut) {
  const TemporaryFolder folder;
  for (const size_t extra : {0, 1}) {
    const std::string text = "a\n" + std::string(kLongestLine + extra, 'x') + "\nb\n";
    TextSource source(list_text_files(std::vector{folder.write("x.txt", text)}));
    int64_t cut = 0;
    std::string all;
    for (const auto& b : blocks_of(source)) cut += b.cuts_line, all += b.bytes;
    EXPECT_EQ(cut, int64_t(extra));
    EXPECT_EQ(all, text);
  }
}

TEST(TextSource, MissingAndForbiddenInputsAreNamed) {
  const TemporaryFolder folder;
  EXPECT_ERROR(list_text_files(std::vector{folder / "none"}), Exit::data, "none");
  EXPECT_ERROR(list_text_files(std::vector{folder.path()}), Exit::data, "no files to read");
  namespace fs = std::filesystem;
  fs::permissions(folder.path(), fs::perms::owner_all | fs::perms::others_exec | fs::perms::others_read);
  folder.write("closed/a.txt", "a");
  fs::permissions(folder / "closed", fs::perms::none);
  const std::string listing = error_as_nobody([&] { list_text_files(std::vector{folder.path()}); });
  EXPECT_TRUE(listing.starts_with("exit 3: cannot list the folder")) << listing;
  EXPECT_NE(listing.find("closed"), std::string::npos) << listing;
  EXPECT_NE(listing.find("chmod"), std::string::npos) << listing;
  fs::permissions(folder / "closed", fs::perms::owner_all);
  const auto secret = folder.write("secret.txt", "a");
  fs::permissions(secret, fs::perms::none);
  const std::string reading = error_as_nobody([&] {
    TextSource source(list_text_files(std::vector{secret}));
    source.next();
  });
  EXPECT_TRUE(reading.starts_with("exit 3: cannot read")) << reading;
}

}  // namespace hinoki::text_source_test
