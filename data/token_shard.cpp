#include "data/token_shard.h"

#include "data/publish.h"

namespace hinoki {
namespace {

constexpr int64_t kEndsAtOnce = 8192;

}  // namespace

std::filesystem::path shard_path(const std::filesystem::path& folder, const std::string& split, int64_t number) {
  const std::string digits = std::to_string(number);
  return folder / say(split, "-", std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0'), digits, ".h5");
}

TokenShardWriter::TokenShardWriter(const std::filesystem::path& path, const TokenShardInfo& info)
    : path_(path), temporary_(temporary_name(path)), info_(info), file_(Hdf5File::create(temporary_)) {
  tokens_data_ = file_.create_dataset("tokens", {.type = token_type(info.vocabulary_size), .chunk_rows = kTokenBlock});
  ends_data_ = file_.create_dataset("document_ends", {.type = DType::i64, .chunk_rows = kEndsAtOnce});
  checksums_data_ = file_.create_dataset("checksums", {.type = DType::u8, .row_shape = {16}, .chunk_rows = 1024});
}

void TokenShardWriter::append(std::span<const int32_t> tokens) {
  tokens_ += int64_t(tokens.size());
  pending_.insert(pending_.end(), tokens.begin(), tokens.end());
  if (int64_t(pending_.size()) >= kTokenBlock) write_blocks(false);
}

void TokenShardWriter::end_document(int64_t bytes, int64_t characters) {
  ends_.push_back(tokens_);
  ++documents_;
  bytes_ += bytes;
  characters_ += characters;
  if (int64_t(ends_.size()) == kEndsAtOnce) write_ends();
}

void TokenShardWriter::write_ends() {
  ends_hash_.add(ends_.data(), ends_.size() * sizeof(int64_t));
  ends_data_.append(std::span<const int64_t>(ends_));
  ends_.clear();
}

void TokenShardWriter::write_blocks(bool last) {
  std::span<const int32_t> rest = pending_;
  while (int64_t(rest.size()) >= kTokenBlock || (last && !rest.empty())) {
    const auto block = rest.first(std::min<size_t>(rest.size(), kTokenBlock));
    tokens_data_.type() == DType::u16 ? write_block<uint16_t>(block) : write_block<uint32_t>(block);
    rest = rest.subspan(block.size());
  }
  pending_.erase(pending_.begin(), pending_.end() - int64_t(rest.size()));
}

template <class T>
void TokenShardWriter::write_block(std::span<const int32_t> tokens) {
  std::vector<T> stored(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    require(tokens[i] >= 0 && tokens[i] < info_.vocabulary_size, path_, ": token id ", tokens[i],
            " is not in the vocabulary of ", info_.vocabulary_size);
    stored[i] = T(tokens[i]);
  }
  tokens_data_.append(std::span<const T>(stored));
  const auto checksum = bytes_of(hash128(stored.data(), stored.size() * sizeof(T)));
  checksums_data_.append(std::span<const uint8_t>(checksum));
}

void TokenShardWriter::publish() {
  write_blocks(true);
  write_ends();
  file_.set("format", "hinoki tokens");
  file_.set("version", kTokenShardVersion);
  file_.set("split", info_.split);
  file_.set("tokenizer", info_.tokenizer_hash);
  file_.set("vocabulary_size", info_.vocabulary_size);
  file_.set("block", kTokenBlock);
  file_.set("tokens", tokens_);
  file_.set("documents", documents_);
  file_.set("bytes", bytes_);
  file_.set("characters", characters_);
  file_.set("document_ends_checksum", hex_of(ends_hash_.value()));
  tokens_data_ = Hdf5Dataset();
  ends_data_ = Hdf5Dataset();
  checksums_data_ = Hdf5Dataset();
  file_.close();
  hinoki::publish(path_);
}

}  // namespace hinoki
