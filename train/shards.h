// How the flat buffers are dealt out: buckets, which travel while the backward pass still runs, and in each bucket a
// part for every rank. Everything is whole chunks, and the buckets do not depend on the number of ranks.
#pragma once
#include <algorithm>
#include <vector>

#include "models/scope.h"

namespace hinoki {

struct Piece {
  int64_t begin = 0, end = 0;  // elements of the flat buffers
  int64_t size() const { return end - begin; }
};

class Shards {
 public:
  // `bucket` elements at most in a bucket, rounded up to a whole chunk.
  Shards(int64_t flat_size, int64_t bucket, int ranks)
      : flat_(flat_size),
        bucket_(std::max<int64_t>(1, (bucket + Parameters::kChunk - 1) / Parameters::kChunk) * Parameters::kChunk),
        ranks_(ranks) {}

  int ranks() const { return ranks_; }
  int64_t flat_size() const { return flat_; }
  int64_t buckets() const { return (flat_ + bucket_ - 1) / bucket_; }
  int64_t bucket_size() const { return std::min(bucket_, flat_); }
  int64_t bucket_of(int64_t element) const { return element / bucket_; }
  Piece bucket(int64_t b) const { return {b * bucket_, std::min(flat_, (b + 1) * bucket_)}; }
  // The part of a bucket whose sum, and under ZeRO-1 whose optimizer state, is this rank's.
  Piece part(int64_t b, int rank) const {
    const Piece whole = bucket(b);
    const int64_t chunks = (whole.size() + Parameters::kChunk - 1) / Parameters::kChunk;
    const auto at = [&](int r) { return std::min(whole.end, whole.begin + chunks * r / ranks_ * Parameters::kChunk); };
    return {at(rank), at(rank + 1)};
  }
  // All parts of a rank, in order.
  std::vector<Piece> of(int rank) const {
    std::vector<Piece> pieces;
    for (int64_t b = 0; b < buckets(); ++b)
      if (const Piece p = part(b, rank); p.size() > 0) pieces.push_back(p);
    return pieces;
  }

 private:
  int64_t flat_, bucket_;
  int ranks_;
};

}  // namespace hinoki
