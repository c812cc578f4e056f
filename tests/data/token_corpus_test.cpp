#include "data/token_corpus.h"

#include <numeric>

#include "data/token_shard.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::token_corpus_test {
namespace {

constexpr int64_t kVocabulary = 1000;

int32_t token_at(int64_t position) { return int32_t(position * 7919 % kVocabulary); }

void write_shard(const std::filesystem::path& path, int64_t first, int64_t count, int64_t vocabulary = kVocabulary,
                 const std::string& hash = "aaaa") {
  TokenShardWriter shard(path, {.split = "train", .tokenizer_hash = hash, .vocabulary_size = vocabulary});
  // Pieces of awkward sizes, so that blocks are filled across calls.
  for (int64_t at = first; at < first + count;) {
    std::vector<int32_t> piece(std::min<int64_t>(1 + at % 50000, first + count - at));
    for (auto& t : piece) t = token_at(at++);
    shard.append(piece);
    shard.end_document(3, 1);
  }
  shard.publish();
}

}  // namespace

TEST(TokenCorpus, ReadsAcrossBlocksAndShards) {
  for (const int64_t vocabulary : {kVocabulary, int64_t{70000}}) {
    const TemporaryFolder folder;
    write_shard(folder / "train-00000.h5", 0, 150001, vocabulary);
    write_shard(folder / "train-00001.h5", 150001, 70000, vocabulary);
    const TokenCorpus corpus(folder.path(), "train", "aaaa");
    ASSERT_EQ(corpus.tokens(), 220001);
    EXPECT_EQ(corpus.shards(), 2);
    EXPECT_EQ(corpus.bytes(), 3 * corpus.documents());
    EXPECT_EQ(corpus.characters(), corpus.documents());
    for (const int64_t first : {0, 1, 65535, 65536, 131072, 149999, 150000, 150001, 219999}) {
      std::vector<int32_t> got(std::min<int64_t>(70000, corpus.tokens() - first));
      corpus.read(first, got);
      for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], token_at(first + int64_t(i))) << first << " + " << i;
    }
    EXPECT_EQ(corpus.document_ends(0).back(), 150001);
    EXPECT_NO_THROW(corpus.verify());
    std::vector<int32_t> two(2);
    EXPECT_ERROR(corpus.read(220000, two), Exit::failure, "220001");
  }
}

TEST(TokenCorpus, Hdf5ToolsReadAShard) {
  const TemporaryFolder folder;
  write_shard(folder / "train-00000.h5", 0, 100);
  const std::string file = (folder / "train-00000.h5").string();
  EXPECT_NE(output_of("h5ls " + file).find("tokens                   Dataset {100/Inf}"), std::string::npos);
  EXPECT_NE(output_of("h5dump -d tokens " + file).find("919, 838, 757"), std::string::npos);
  EXPECT_NE(output_of("h5dump -a vocabulary_size " + file).find("1000"), std::string::npos);
}

TEST(TokenCorpus, FlippedBitIsFoundAndNamed) {
  const TemporaryFolder folder;
  const auto path = folder / "train-00000.h5";
  write_shard(path, 0, 150000);
  // Looks for the stored bytes of the token 100000 and its followers, and flips one bit of them.
  std::string bytes = bytes_of_file(path), wanted;
  for (int64_t i = 100000; i < 100016; ++i) {
    const int32_t t = token_at(i);
    wanted += {char(t & 255), char(t >> 8)};
  }
  // The tokens repeat every 1000: take the one in the second block.
  std::vector<size_t> places;
  for (size_t at = bytes.find(wanted); at != bytes.npos; at = bytes.find(wanted, at + 1)) places.push_back(at);
  ASSERT_EQ(places.size(), 150u);
  bytes[places[100]] ^= 4;
  folder.write("train-00000.h5", bytes);
  const TokenCorpus corpus(folder.path(), "train", "aaaa");
  std::vector<int32_t> one(1);
  EXPECT_NO_THROW(corpus.read(0, one));
  EXPECT_ERROR(corpus.read(65536, one), Exit::data, "tokens is damaged between tokens 65536 and 131072");
  EXPECT_ERROR(corpus.verify(), Exit::data, path.string());
}

TEST(TokenCorpus, FaultsSayWhatToDo) {
  const TemporaryFolder folder;
  EXPECT_ERROR(TokenCorpus(folder / "none", "train", ""), Exit::data, "there is no corpus");
  EXPECT_ERROR(TokenCorpus(folder.path(), "train", ""), Exit::data, "no shard");
  write_shard(folder / "train-00000.h5", 0, 100);
  EXPECT_ERROR(TokenCorpus(folder.path(), "train", "bbbb"), Exit::data,
               "tokenizer aaaa, but the tokenizer in use is bbbb");
  write_shard(folder / "train-00002.h5", 0, 100);
  EXPECT_ERROR(TokenCorpus(folder.path(), "train", ""), Exit::data, "train-00001.h5\" is missing");
  std::string bytes = bytes_of_file(folder / "train-00000.h5");
  folder.write("train-00000.h5", bytes.substr(0, bytes.size() / 2));
  EXPECT_ERROR(TokenCorpus(folder.path(), "train", ""), Exit::data, "cut short");
  folder.write("train-00000.h5", "text");
  EXPECT_ERROR(TokenCorpus(folder.path(), "train", ""), Exit::data, "is not an HDF5 file");
}

TEST(TokenShard, RefusesTokensOutsideTheVocabulary) {
  const TemporaryFolder folder;
  TokenShardWriter shard(folder / "train-00000.h5", {.split = "train", .tokenizer_hash = "a", .vocabulary_size = 10});
  shard.append(std::vector<int32_t>{1, 2, 10});
  EXPECT_ERROR(shard.publish(), Exit::failure, "token id 10");
  EXPECT_FALSE(std::filesystem::exists(folder / "train-00000.h5"));
}

}  // namespace hinoki::token_corpus_test
