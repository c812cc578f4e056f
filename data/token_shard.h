// A shard: one HDF5 file of token ids with the borders of its documents.
//
//   tokens          uint16 (vocabularies up to 65536) or uint32; every document ends with the end-of-text id
//   document_ends   int64: where each document ends in `tokens`, exclusive
//   checksums       uint8 [blocks, 16]: XXH3-128 of each block of kTokenBlock tokens, as stored
//
// and attributes: format, version, split, tokenizer (hash), vocabulary_size, block, tokens, documents,
// document_ends_checksum, and bytes and characters of the text that the tokens stand for.
//
// It is written under a temporary name, closed, synced, renamed: a file with the final name is whole.
#pragma once
#include <filesystem>
#include <span>
#include <string>

#include "core/base/hash128.h"
#include "data/hdf5.h"

namespace hinoki {

inline constexpr int64_t kTokenBlock = 65536;
inline constexpr int64_t kTokenShardVersion = 1;
// A file beside the shards while a corpus is being made, and after a run that was killed.
inline constexpr const char* kUnfinished = "unfinished";

struct TokenShardInfo {
  std::string split;           // "train" or "validation"
  std::string tokenizer_hash;  // Tokenizer::hash()
  int64_t vocabulary_size = 0;
};

// The type of `tokens` in a shard.
inline DType token_type(int64_t vocabulary_size) { return vocabulary_size <= 65536 ? DType::u16 : DType::u32; }

std::filesystem::path shard_path(const std::filesystem::path& folder, const std::string& split, int64_t number);

class TokenShardWriter {
 public:
  TokenShardWriter(const std::filesystem::path& path, const TokenShardInfo& info);
  TokenShardWriter(TokenShardWriter&&) = default;

  void append(std::span<const int32_t> tokens);
  // The tokens since the last call are one document, which stood for so much text.
  void end_document(int64_t bytes, int64_t characters);
  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return documents_; }
  void publish();  // from here on the shard is there under its name

 private:
  void write_blocks(bool last);
  template <class T>
  void write_block(std::span<const int32_t> tokens);
  void write_ends();

  std::filesystem::path path_, temporary_;
  TokenShardInfo info_;
  Hdf5File file_;
  Hdf5Dataset tokens_data_, ends_data_, checksums_data_;
  std::vector<int32_t> pending_;  // less than a block
  std::vector<int64_t> ends_;     // not yet written
  Hasher128 ends_hash_;
  int64_t tokens_ = 0, documents_ = 0, bytes_ = 0, characters_ = 0;
};

}  // namespace hinoki
