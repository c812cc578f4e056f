#include "data/speech_shard.h"

#include "data/publish.h"
#include "data/token_shard.h"

namespace hinoki {
namespace {

constexpr size_t kIndexAtOnce = 1024;  // utterances

template <class T>
void flush(Hdf5Dataset& data, std::vector<T>& pending) {
  data.append(std::span<const T>(pending));
  pending.clear();
}

void add_row(std::vector<uint8_t>& rows, const Hash128& hash) {
  const auto bytes = bytes_of(hash);
  rows.insert(rows.end(), bytes.begin(), bytes.end());
}

}  // namespace

std::filesystem::path speech_shard_path(const std::filesystem::path& folder, const std::string& split, int64_t number) {
  return shard_path(folder, split, number);
}

SpeechShardWriter::SpeechShardWriter(const std::filesystem::path& path, const std::string& split)
    : path_(path), temporary_(temporary_name(path)), split_(split), file_(Hdf5File::create(temporary_)) {
  samples_data_ = file_.create_dataset("samples", {.type = DType::i16, .chunk_rows = 65536});
  ends_data_ = file_.create_dataset("utterance_ends", {.type = DType::i64, .chunk_rows = kIndexAtOnce});
  texts_data_ = file_.create_dataset("texts", {.type = DType::u8, .chunk_rows = 65536});
  text_ends_data_ = file_.create_dataset("text_ends", {.type = DType::i64, .chunk_rows = kIndexAtOnce});
  const Hdf5Layout checksums{.type = DType::u8, .row_shape = {16}, .chunk_rows = kIndexAtOnce};
  checksums_data_ = file_.create_dataset("checksums", checksums);
  text_checksums_data_ = file_.create_dataset("text_checksums", checksums);
}

void SpeechShardWriter::append(std::span<const int16_t> samples, const UtteranceTexts& texts) {
  require(!samples.empty(), path_, ": an utterance without samples");
  const size_t begin = texts_.size();
  for (const std::string* text : {&texts.id, &texts.transcript, &texts.kana}) {
    require(text->find('\0') == text->npos && int64_t(text->size()) <= kLongestText, path_, ": the texts of utterance ",
            utterances_, " hold a zero byte or are longer than ", kLongestText, " bytes");
    texts_.insert(texts_.end(), text->begin(), text->end());
    texts_.push_back(0);
  }
  samples_data_.append(samples);
  samples_ += int64_t(samples.size());
  text_bytes_ += int64_t(texts_.size() - begin);
  ends_.push_back(samples_);
  text_ends_.push_back(text_bytes_);
  add_row(checksums_, hash128(samples.data(), samples.size_bytes()));
  add_row(text_checksums_, hash128(texts_.data() + begin, texts_.size() - begin));
  ++utterances_;
  transcribed_ += !texts.transcript.empty();
  kana_ += !texts.kana.empty();
  if (ends_.size() == kIndexAtOnce || texts_.size() >= size_t(kLongestText)) write_index();
}

void SpeechShardWriter::write_index() {
  ends_hash_.add(ends_.data(), ends_.size() * sizeof(int64_t));
  text_ends_hash_.add(text_ends_.data(), text_ends_.size() * sizeof(int64_t));
  audio_hash_.add(checksums_.data(), checksums_.size());
  flush(ends_data_, ends_);
  flush(text_ends_data_, text_ends_);
  flush(checksums_data_, checksums_);
  flush(text_checksums_data_, text_checksums_);
  flush(texts_data_, texts_);
}

void SpeechShardWriter::publish() {
  write_index();
  file_.set("format", "hinoki speech");
  file_.set("version", kSpeechShardVersion);
  file_.set("split", split_);
  file_.set("sample_rate", kSampleRate);
  file_.set("utterances", utterances_);
  file_.set("samples", samples_);
  file_.set("transcribed", transcribed_);
  file_.set("kana", kana_);
  file_.set("utterance_ends_checksum", hex_of(ends_hash_.value()));
  file_.set("text_ends_checksum", hex_of(text_ends_hash_.value()));
  file_.set("audio", hex_of(audio_hash_.value()));
  for (Hdf5Dataset* data :
       {&samples_data_, &ends_data_, &texts_data_, &text_ends_data_, &checksums_data_, &text_checksums_data_})
    *data = Hdf5Dataset();
  file_.close();
  hinoki::publish(path_);
}

}  // namespace hinoki
