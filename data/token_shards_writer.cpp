#include "data/token_shards_writer.h"

#include "core/base/check.h"

namespace hinoki {

TokenShardsWriter::TokenShardsWriter(std::filesystem::path folder, TokenShardInfo info, int64_t shard_tokens)
    : folder_(std::move(folder)), info_(std::move(info)), shard_tokens_(shard_tokens) {
  require<Exit::usage>(shard_tokens > 0, "shards of ", shard_tokens, " tokens cannot be");
}

void TokenShardsWriter::append(std::span<const int32_t> tokens, int64_t bytes, int64_t characters) {
  if (!shard_) shard_.emplace(shard_path(folder_, info_.split, shards_++), info_);
  shard_->append(tokens);
  tokens_ += int64_t(tokens.size());
  document_bytes_ += bytes;
  document_characters_ += characters;
}

void TokenShardsWriter::end_document(int32_t end_of_text) {
  append(std::span(&end_of_text, 1), 0, 0);
  shard_->end_document(document_bytes_, document_characters_);
  bytes_ += document_bytes_;
  characters_ += document_characters_;
  document_bytes_ = document_characters_ = 0;
  if (shard_->tokens() < shard_tokens_) return;
  shard_->publish();
  shard_.reset();
}

void TokenShardsWriter::finish() {
  if (shard_) shard_->publish();
  shard_.reset();
  for (int64_t n = shards_; std::filesystem::remove(shard_path(folder_, info_.split, n));) ++n;
}

}  // namespace hinoki
