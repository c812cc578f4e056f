#include "data/token_corpus.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/hash128.h"
#include "data/token_shard.h"

namespace hinoki {
namespace {

constexpr size_t kCachedBlocks = 128;  // of 256 KiB each

template <class T>
std::vector<int32_t> read_checked(const Hdf5Dataset& data, const Hdf5Dataset& checksums, int64_t number,
                                  const std::filesystem::path& path) {
  const int64_t first = number * kTokenBlock;
  std::vector<T> stored(std::min(kTokenBlock, data.rows() - first));
  data.read(first, std::span(stored));
  std::array<uint8_t, 16> expected{};
  checksums.read(number, std::span<uint8_t>(expected));
  require<Exit::data>(bytes_of(hash128(stored.data(), stored.size() * sizeof(T))) == expected, path,
                      ": dataset tokens is damaged between tokens ", first, " and ", first + int64_t(stored.size()),
                      " (checksum mismatch); delete the file and run `hinoki data text` again, or copy it anew");
  return {stored.begin(), stored.end()};
}

}  // namespace

TokenCorpus::TokenCorpus(const std::filesystem::path& folder, const std::string& split,
                         const std::string& tokenizer_hash)
    : folder_(folder), tokenizer_hash_(tokenizer_hash) {
  require<Exit::data>(std::filesystem::is_directory(folder), "there is no corpus ", folder,
                      "; make it with `hinoki data text`");
  require<Exit::data>(!std::filesystem::exists(folder / kUnfinished), "the corpus ", folder,
                      " is not finished; run `hinoki data text` again");
  for (int64_t number = 0; std::filesystem::exists(shard_path(folder, split, number)); ++number)
    open(shard_path(folder, split, number), split);
  require<Exit::data>(!shards_.empty(), folder, " has no shard ", shard_path(folder, split, 0).filename(),
                      "; is it a folder that `hinoki data text` finished?");
  const int64_t last = shards_.size();
  require<Exit::data>(!std::filesystem::exists(shard_path(folder, split, last + 1)), "the shard ",
                      shard_path(folder, split, last), " is missing; run `hinoki data text` again");
}

void TokenCorpus::open(const std::filesystem::path& path, const std::string& split) {
  Shard s{.file = Hdf5File::open(path), .tokens = {}, .checksums = {}};
  require<Exit::data>(s.file.text("format") == "hinoki tokens" && s.file.text("split") == split, path,
                      " is not a shard of ", split, " tokens");
  require<Exit::data>(s.file.integer("version") == kTokenShardVersion && s.file.integer("block") == kTokenBlock, path,
                      " has version ", s.file.integer("version"), ", this program reads version ", kTokenShardVersion,
                      "; prepare the corpus again");
  const std::string hash = s.file.text("tokenizer");
  if (tokenizer_hash_.empty()) tokenizer_hash_ = hash;
  require<Exit::data>(hash == tokenizer_hash_, path, " was made with the tokenizer ", hash,
                      ", but the tokenizer in use is ", tokenizer_hash_,
                      "; use the spiece.model beside the shards, or run `hinoki data text` again with yours");
  s.tokens = s.file.dataset("tokens");
  s.checksums = s.file.dataset("checksums");
  vocabulary_size_ = s.file.integer("vocabulary_size");
  const bool fits = s.file.integer("tokens") == s.tokens.rows() && s.tokens.row_shape().empty() &&
                    s.tokens.type() == token_type(vocabulary_size_) &&
                    s.checksums.rows() == (s.tokens.rows() + kTokenBlock - 1) / kTokenBlock &&
                    s.checksums.row_elements() == 16;
  require<Exit::data>(fits, path, ": the datasets do not fit the attributes; prepare the corpus again");
  s.first = tokens_;
  tokens_ += s.tokens.rows();
  documents_ += s.file.integer("documents");
  bytes_ += s.file.integer("bytes");
  characters_ += s.file.integer("characters");
  shards_.push_back(std::move(s));
}

TokenCorpus::Block TokenCorpus::load(int64_t shard, int64_t number) const {
  const Shard& s = shards_[shard];
  return s.tokens.type() == DType::u16 ? read_checked<uint16_t>(s.tokens, s.checksums, number, s.file.path())
                                       : read_checked<uint32_t>(s.tokens, s.checksums, number, s.file.path());
}

const TokenCorpus::Block& TokenCorpus::block(int64_t shard, int64_t number) const {
  const int64_t key = shards_[shard].first + number * kTokenBlock;
  if (const auto found = cached_.find(key); found != cached_.end()) {
    cache_.splice(cache_.begin(), cache_, found->second);
    return cache_.front().tokens;
  }
  Block fresh = load(shard, number);
  if (cache_.size() == kCachedBlocks) {
    cached_.erase(cache_.back().key);
    cache_.pop_back();
  }
  cache_.push_front({key, std::move(fresh)});
  cached_[key] = cache_.begin();
  return cache_.front().tokens;
}

void TokenCorpus::read(int64_t first, std::span<int32_t> out) const {
  const auto count = int64_t(out.size());
  require(first >= 0 && count <= tokens_ && first <= tokens_ - count, folder_, " holds ", tokens_,
          " tokens; asked for ", count, " from ", first);
  const std::lock_guard lock(mutex_);
  auto shard =
      std::upper_bound(shards_.begin(), shards_.end(), first, [](int64_t at, const Shard& s) { return at < s.first; }) -
      shards_.begin() - 1;
  for (int64_t done = 0; done < count;) {
    const int64_t inside = first + done - shards_[shard].first;
    if (inside == shards_[shard].tokens.rows()) {
      ++shard;
      continue;
    }
    const Block& b = block(shard, inside / kTokenBlock);
    const int64_t start = inside % kTokenBlock, n = std::min(count - done, int64_t(b.size()) - start);
    std::copy_n(b.begin() + start, n, out.begin() + done);
    done += n;
  }
}

std::vector<int64_t> TokenCorpus::document_ends(int64_t shard) const {
  const Hdf5File& file = shards_.at(shard).file;
  const Hdf5Dataset data = file.dataset("document_ends");
  std::vector<int64_t> ends(data.rows());
  data.read(0, std::span(ends));
  require<Exit::data>(
      hex_of(hash128(ends.data(), ends.size() * sizeof(int64_t))) == file.text("document_ends_checksum"), file.path(),
      ": dataset document_ends is damaged (checksum mismatch); run `hinoki data text` again");
  return ends;
}

void TokenCorpus::verify() const {
  for (int64_t shard = 0; shard < shards(); ++shard) {
    document_ends(shard);
    const int64_t blocks = shards_[shard].checksums.rows();
    for (int64_t number = 0; number < blocks; ++number) load(shard, number);
  }
}

}  // namespace hinoki
