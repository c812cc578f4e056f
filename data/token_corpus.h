// A prepared corpus, read: the shards of one split as a single stream of tokens. Every block is checked against its
// checksum whenever it comes from the disk; a few blocks stay in memory. Reading is safe from several threads.
#pragma once
#include <filesystem>
#include <list>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/hdf5.h"

namespace hinoki {

class TokenCorpus {
 public:
  // `folder` as `hinoki data text` left it. `tokenizer_hash` (Tokenizer::hash) must be that of the shards; an empty one
  // takes what is there.
  TokenCorpus(const std::filesystem::path& folder, const std::string& split, const std::string& tokenizer_hash);

  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return documents_; }
  // Of the text that the tokens stand for, to turn nats per token into bits per character.
  int64_t bytes() const { return bytes_; }
  int64_t characters() const { return characters_; }
  int64_t vocabulary_size() const { return vocabulary_size_; }
  const std::string& tokenizer_hash() const { return tokenizer_hash_; }
  const std::filesystem::path& folder() const { return folder_; }
  int64_t shards() const { return int64_t(shards_.size()); }

  // Tokens from position `first` of the whole stream on.
  void read(int64_t first, std::span<int32_t> out) const;
  // Where each document of one shard ends in it, exclusive.
  std::vector<int64_t> document_ends(int64_t shard) const;
  // Reads everything once, so that damage is found before a long run and not in the middle of it.
  void verify() const;

 private:
  struct Shard {
    Hdf5File file;
    Hdf5Dataset tokens, checksums;
    int64_t first = 0;  // position of its first token in the stream
  };
  using Block = std::vector<int32_t>;

  void open(const std::filesystem::path& path, const std::string& split);
  const Block& block(int64_t shard, int64_t number) const;
  Block load(int64_t shard, int64_t number) const;

  std::filesystem::path folder_;
  std::string tokenizer_hash_;
  std::vector<Shard> shards_;
  int64_t tokens_ = 0, documents_ = 0, bytes_ = 0, characters_ = 0, vocabulary_size_ = 0;

  // The blocks used last, the newest in front.
  struct Cached {
    int64_t key;  // position of its first token in the stream
    Block tokens;
  };
  mutable std::mutex mutex_;
  mutable std::list<Cached> cache_;
  mutable std::unordered_map<int64_t, std::list<Cached>::iterator> cached_;  // by key
};

}  // namespace hinoki
