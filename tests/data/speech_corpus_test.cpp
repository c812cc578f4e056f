#include "data/speech_corpus.h"

#include "data/token_shard.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::speech_corpus_test {
namespace {

int64_t length_of(int64_t u) { return 1 + u * 7919 % 70000; }
int16_t sample_at(int64_t u, int64_t i) {
  uint64_t x = uint64_t(u * 100003 + i) * 0x9E3779B97F4A7C15;
  x ^= x >> 29;
  return int16_t(x * 0xBF58476D1CE4E5B9 >> 40);
}

UtteranceTexts texts_of(int64_t u) {
  const std::string n = std::to_string(u);
  return {
      .id = "話者/" + n, .transcript = u % 3 == 0 ? "" : "第" + n + "の文です。", .kana = u % 3 == 1 ? "ダイ" + n : ""};
}

void write_shard(const std::filesystem::path& path, int64_t first, int64_t count, const std::string& split = "train") {
  SpeechShardWriter shard(path, split);
  for (int64_t u = first; u < first + count; ++u) {
    std::vector<int16_t> samples(length_of(u));
    for (size_t i = 0; i < samples.size(); ++i) samples[i] = sample_at(u, int64_t(i));
    shard.append(samples, texts_of(u));
  }
  shard.publish();
}

}  // namespace

TEST(SpeechCorpus, EveryUtteranceComesBack) {
  const TemporaryFolder folder;
  write_shard(folder / "train-00000.h5", 0, 50);
  write_shard(folder / "train-00001.h5", 50, 13);
  write_shard(folder / "validation-00000.h5", 90, 2, "validation");
  const SpeechCorpus corpus(folder.path(), "train");
  ASSERT_EQ(corpus.utterances(), 63);
  EXPECT_EQ(corpus.transcribed(), 42);
  EXPECT_EQ(corpus.with_kana(), 21);
  int64_t total = 0, longest = 0;
  for (const int64_t u : {62, 0, 49, 50, 12}) {  // in any order
    std::vector<float> got(corpus.samples(u));
    corpus.read(u, std::span(got));
    for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], float(sample_at(u, int64_t(i))) / 32768) << u;
  }
  for (int64_t u = 0; u < 63; ++u) {
    ASSERT_EQ(corpus.samples(u), length_of(u));
    EXPECT_EQ(corpus.id(u), texts_of(u).id);
    EXPECT_EQ(corpus.transcript(u), texts_of(u).transcript);
    EXPECT_EQ(corpus.kana(u), texts_of(u).kana);
    total += length_of(u);
    longest = std::max(longest, length_of(u));
  }
  EXPECT_EQ(corpus.total_samples(), total);
  EXPECT_EQ(corpus.longest(), longest);
  EXPECT_NO_THROW(corpus.verify());
  EXPECT_EQ(SpeechCorpus(folder.path(), "validation").id(1), texts_of(91).id);
  EXPECT_ERROR(corpus.samples(63), Exit::failure, "holds 63 utterances");
  std::vector<float> wrong(length_of(0) + 1);
  EXPECT_ERROR(corpus.read(0, std::span(wrong)), Exit::failure, "room for");
}

TEST(SpeechCorpus, HashNamesTheSoundAndNotTheTexts) {
  const TemporaryFolder folder;
  const auto hash_with = [&](const std::string& name, int16_t sample, const std::string& transcript) {
    std::filesystem::create_directory(folder / name);
    SpeechShardWriter shard(folder / name / "train-00000.h5", "train");
    shard.append(std::vector<int16_t>{1, 2, sample}, {.id = name, .transcript = transcript, .kana = ""});
    shard.publish();
    return SpeechCorpus(folder / name, "train").hash();
  };
  EXPECT_EQ(hash_with("a", 3, "一"), hash_with("b", 3, "二"));
  EXPECT_NE(hash_with("c", 3, "一"), hash_with("d", 4, "一"));
}

TEST(SpeechCorpus, Hdf5ToolsReadAShard) {
  const TemporaryFolder folder;
  write_shard(folder / "train-00000.h5", 0, 3);
  const std::string file = (folder / "train-00000.h5").string();
  EXPECT_NE(output_of("h5ls " + file).find("utterance_ends           Dataset {3/Inf}"), std::string::npos);
  EXPECT_NE(output_of("h5dump -H -d samples " + file).find("H5T_STD_I16LE"), std::string::npos);
  EXPECT_NE(output_of("h5dump -a sample_rate " + file).find("16000"), std::string::npos);
}

TEST(SpeechCorpus, FlippedBitsAreFoundAndNamed) {
  const TemporaryFolder folder;
  const auto path = folder / "train-00000.h5";
  write_shard(path, 0, 20);
  const std::string sound = bytes_of_file(path);
  const auto flip = [&](const std::string& wanted) {
    std::string bytes = sound;
    const size_t at = bytes.find(wanted);
    ASSERT_NE(at, bytes.npos);
    bytes[at] ^= 1;
    folder.write("train-00000.h5", bytes);
  };
  std::string samples;
  for (int64_t i = 100; i < 116; ++i) samples += {char(sample_at(7, i)), char(sample_at(7, i) >> 8)};
  flip(samples);
  {
    const SpeechCorpus corpus(folder.path(), "train");
    std::vector<float> out(corpus.samples(6));
    EXPECT_NO_THROW(corpus.read(6, std::span(out)));
    out.resize(corpus.samples(7));
    expect_error(Exit::data, {"train-00000.h5", "samples of utterance 7 are damaged"},
                 [&] { corpus.read(7, std::span(out)); });
    EXPECT_ERROR(corpus.verify(), Exit::data, "utterance 7");
  }
  flip(texts_of(11).transcript);
  EXPECT_ERROR(SpeechCorpus(folder.path(), "train").transcript(11), Exit::data, "texts of utterance 11 are damaged");
  int64_t end = 0;
  std::string ends;
  for (int64_t u = 0; u < 20; ++u) {
    end += length_of(u);
    if (u >= 5 && u < 9) ends.append(reinterpret_cast<const char*>(&end), 8);
  }
  flip(ends);
  EXPECT_ERROR(SpeechCorpus(folder.path(), "train"), Exit::data, "dataset utterance_ends is damaged");
}

TEST(SpeechCorpus, FaultsSayWhatIsWrong) {
  const TemporaryFolder folder;
  EXPECT_ERROR(SpeechCorpus(folder / "nowhere", "train"), Exit::data, "there is no corpus");
  EXPECT_ERROR(SpeechCorpus(folder.path(), "train"), Exit::data, "has no shard \"train-00000.h5\"");
  write_shard(folder / "train-00000.h5", 0, 3);
  write_shard(folder / "train-00002.h5", 3, 3);
  EXPECT_ERROR(SpeechCorpus(folder.path(), "train"), Exit::data, "train-00001.h5\" is missing");
  std::filesystem::remove(folder / "train-00002.h5");
  std::filesystem::copy_file(folder / "train-00000.h5", folder / "validation-00000.h5");
  EXPECT_ERROR(SpeechCorpus(folder.path(), "validation"), Exit::data, "is not a shard of validation speech");
  folder.write(kUnfinished, "");
  EXPECT_ERROR(SpeechCorpus(folder.path(), "train"), Exit::data, "is not finished");
  SpeechShardWriter shard(folder / "train-00001.h5", "train");
  EXPECT_ERROR(shard.append({}, {}), Exit::failure, "without samples");
  EXPECT_ERROR(shard.append(std::vector<int16_t>{1}, {.id = std::string("a\0b", 3), .transcript = "", .kana = ""}),
               Exit::failure, "zero byte");
}

}  // namespace hinoki::speech_corpus_test
