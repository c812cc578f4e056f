#include "data/speech_corpus.h"

#include <algorithm>

#include "core/base/check.h"
#include "data/token_shard.h"

namespace hinoki {
namespace {

constexpr const char* kSpeechAgain = "delete the file and run `hinoki data speech` again, or copy it anew";

// The borders of one dataset: checked against their checksum, and to be borders of so many elements.
std::vector<int64_t> read_ends(const Hdf5File& file, const std::string& name, int64_t rows, int64_t elements) {
  const Hdf5Dataset data = file.dataset(name);
  require<Exit::data>(data.rows() == rows && data.row_shape().empty() && data.type() == DType::i64, file.path(),
                      ": dataset ", name, " does not fit the attributes; ", kSpeechAgain);
  std::vector<int64_t> ends(rows);
  data.read(0, std::span(ends));
  require<Exit::data>(hex_of(hash128(ends.data(), ends.size() * sizeof(int64_t))) == file.text(name + "_checksum"),
                      file.path(), ": dataset ", name, " is damaged (checksum mismatch); ", kSpeechAgain);
  int64_t before = 0;
  for (const int64_t end : ends) {
    require<Exit::data>(end > before && end <= elements, file.path(), ": dataset ", name, " holds no borders; ",
                        kSpeechAgain);
    before = end;
  }
  require<Exit::data>(before == elements, file.path(), ": dataset ", name, " does not cover what it divides; ",
                      kSpeechAgain);
  return ends;
}

void check_borders(const Hdf5File& file, const Hdf5Dataset& checksums, int64_t row, const char* what,
                   const Hash128& hash) {
  std::array<uint8_t, 16> expected{};
  checksums.read(row, std::span<uint8_t>(expected));
  require<Exit::data>(bytes_of(hash) == expected, file.path(), ": the ", what, " of utterance ", row,
                      " are damaged (checksum mismatch); ", kSpeechAgain);
}

}  // namespace

SpeechCorpus::SpeechCorpus(const std::filesystem::path& folder, const std::string& split) : folder_(folder) {
  require<Exit::data>(std::filesystem::is_directory(folder), "there is no corpus ", folder,
                      "; make it with `hinoki data speech`");
  require<Exit::data>(!std::filesystem::exists(folder / kUnfinished), "the corpus ", folder,
                      " is not finished; run `hinoki data speech` again");
  int64_t number = 0;
  for (; std::filesystem::exists(speech_shard_path(folder, split, number)); ++number)
    open(speech_shard_path(folder, split, number), split);
  require<Exit::data>(!shards_.empty(), folder, " has no shard ", speech_shard_path(folder, split, 0).filename(),
                      "; is it a folder that `hinoki data speech` finished?");
  require<Exit::data>(!std::filesystem::exists(speech_shard_path(folder, split, number + 1)), "the shard ",
                      speech_shard_path(folder, split, number), " is missing; run `hinoki data speech` again");
  hash_ = hasher_.hex();
}

void SpeechCorpus::open(const std::filesystem::path& path, const std::string& split) {
  Shard s{.file = Hdf5File::open(path),
          .samples = {},
          .texts = {},
          .checksums = {},
          .text_checksums = {},
          .ends = {},
          .text_ends = {}};
  require<Exit::data>(s.file.text("format") == "hinoki speech" && s.file.text("split") == split, path,
                      " is not a shard of ", split, " speech");
  require<Exit::data>(s.file.integer("version") == kSpeechShardVersion && s.file.integer("sample_rate") == kSampleRate,
                      path, " has version ", s.file.integer("version"), ", this program reads version ",
                      kSpeechShardVersion, "; prepare the corpus again");
  s.samples = s.file.dataset("samples");
  s.texts = s.file.dataset("texts");
  s.checksums = s.file.dataset("checksums");
  s.text_checksums = s.file.dataset("text_checksums");
  const int64_t rows = s.file.integer("utterances");
  const auto holds_hashes = [&](const Hdf5Dataset& d) {
    return d.rows() == rows && d.row_elements() == 16 && d.type() == DType::u8;
  };
  const bool fits = rows > 0 && s.file.integer("samples") == s.samples.rows() && s.samples.row_shape().empty() &&
                    s.samples.type() == DType::i16 && s.texts.row_shape().empty() && s.texts.type() == DType::u8 &&
                    holds_hashes(s.checksums) && holds_hashes(s.text_checksums);
  require<Exit::data>(fits, path, ": the datasets do not fit the attributes; prepare the corpus again");
  s.ends = read_ends(s.file, "utterance_ends", rows, s.samples.rows());
  s.text_ends = read_ends(s.file, "text_ends", rows, s.texts.rows());
  const std::string borders = s.file.text("utterance_ends_checksum"), audio = s.file.text("audio");
  hasher_.add(borders.data(), borders.size());
  hasher_.add(audio.data(), audio.size());
  for (int64_t row = 0; row < rows; ++row) {
    const Range r = range(s.ends, row);
    longest_ = std::max(longest_, r.end - r.begin);
  }
  s.first = utterances_;
  utterances_ += rows;
  samples_ += s.samples.rows();
  transcribed_ += s.file.integer("transcribed");
  kana_ += s.file.integer("kana");
  shards_.push_back(std::move(s));
}

SpeechCorpus::Range SpeechCorpus::range(const std::vector<int64_t>& ends, int64_t row) {
  return {.begin = row == 0 ? 0 : ends[row - 1], .end = ends[row]};
}

SpeechCorpus::Place SpeechCorpus::place(int64_t u) const {
  require(u >= 0 && u < utterances_, folder_, " holds ", utterances_, " utterances; asked for number ", u);
  const auto shard =
      std::upper_bound(shards_.begin(), shards_.end(), u, [](int64_t at, const Shard& s) { return at < s.first; }) - 1;
  return {.shard = *shard, .row = u - shard->first};
}

SpeechCorpus::Range SpeechCorpus::shard(int64_t n) const {
  require(n >= 0 && n < shards(), folder_, " holds ", shards(), " shards; asked for number ", n);
  return {.begin = shards_[size_t(n)].first, .end = n + 1 < shards() ? shards_[size_t(n + 1)].first : utterances_};
}

int64_t SpeechCorpus::samples(int64_t u) const {
  const Place p = place(u);
  const Range r = range(p.shard.ends, p.row);
  return r.end - r.begin;
}

void SpeechCorpus::read(int64_t u, std::span<int16_t> out) const {
  const auto [s, row] = place(u);
  const Range r = range(s.ends, row);
  require(int64_t(out.size()) == r.end - r.begin, folder_, ": utterance ", u, " has ", r.end - r.begin,
          " samples; room for ", out.size(), " is given");
  s.samples.read(r.begin, out);
  check_borders(s.file, s.checksums, row, "samples", hash128(out.data(), out.size_bytes()));
}

void SpeechCorpus::read(int64_t u, std::span<float> out) const {
  thread_local std::vector<int16_t> stored;
  stored.resize(out.size());
  read(u, std::span(stored));
  for (size_t i = 0; i < out.size(); ++i) out[i] = float(stored[i]) * (1.0f / 32768.0f);
}

UtteranceTexts SpeechCorpus::texts(int64_t u) const {
  const auto [s, row] = place(u);
  const Range r = range(s.text_ends, row);
  require<Exit::data>(r.end - r.begin <= 3 * (kLongestText + 1), s.file.path(), ": the texts of utterance ", row,
                      " have ", r.end - r.begin, " bytes; ", kSpeechAgain);
  std::string bytes(r.end - r.begin, '\0');
  s.texts.read(r.begin, std::span(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()));
  check_borders(s.file, s.text_checksums, row, "texts", hash128(bytes));
  require<Exit::data>(std::count(bytes.begin(), bytes.end(), '\0') == 3 && bytes.back() == '\0', s.file.path(),
                      ": the texts of utterance ", row, " are not three");
  UtteranceTexts texts;
  size_t at = 0;
  for (std::string* text : {&texts.id, &texts.transcript, &texts.kana}) {
    *text = bytes.c_str() + at;
    at += text->size() + 1;
  }
  return texts;
}

void SpeechCorpus::verify() const {
  std::vector<int16_t> samples_of_one;
  for (const Shard& s : shards_) {
    Hasher128 audio;
    std::array<uint8_t, 16> row_hash{};
    for (int64_t row = 0; row < int64_t(s.ends.size()); ++row) {
      s.checksums.read(row, std::span<uint8_t>(row_hash));
      audio.add(row_hash.data(), row_hash.size());
      samples_of_one.resize(samples(s.first + row));
      read(s.first + row, std::span(samples_of_one));
      texts(s.first + row);
    }
    require<Exit::data>(audio.hex() == s.file.text("audio"), s.file.path(), ": the checksums are damaged; ",
                        kSpeechAgain);
  }
}

}  // namespace hinoki
