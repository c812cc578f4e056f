// Writes one split as a row of shards: a document never crosses two of them.
#pragma once
#include <filesystem>
#include <optional>
#include <span>

#include "data/token_shard.h"

namespace hinoki {

class TokenShardsWriter {
 public:
  // A new shard begins with the first document after `shard_tokens` tokens.
  TokenShardsWriter(std::filesystem::path folder, TokenShardInfo info, int64_t shard_tokens);

  void append(std::span<const int32_t> tokens, int64_t bytes, int64_t characters);
  void end_document(int32_t end_of_text);
  void finish();  // publishes the last shard and removes later ones of an earlier run

  int64_t shards() const { return shards_; }
  int64_t tokens() const { return tokens_; }
  int64_t bytes() const { return bytes_; }
  int64_t characters() const { return characters_; }

 private:
  std::filesystem::path folder_;
  TokenShardInfo info_;
  int64_t shard_tokens_;
  std::optional<TokenShardWriter> shard_;
  int64_t shards_ = 0, tokens_ = 0, bytes_ = 0, characters_ = 0;
  int64_t document_bytes_ = 0, document_characters_ = 0;
};

}  // namespace hinoki
