// Which frames a model has to guess: spans of them, as HuBERT and wav2vec 2.0 draw them in fairseq (static lengths,
// overlaps allowed).
//
//   spans   n = max(min_spans, floor(probability * frames / length + u)),  u in [0, 1)
//   starts  n of [0, frames - length), without replacement: no span begins on the last `length` frames; where these are
//           no more than n, as there: n of [0, n + 1)
//   frames  the union of [start, start + length), as far as there are frames
//
// Everything is a function of the key.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/philox.h"

namespace hinoki {

struct SpanMask {
  double probability = 0.8;  // of a frame to be covered, if spans did not overlap
  int64_t length = 10;       // frames of a span
  int64_t min_spans = 2;

  template <class Visitor>
  void fields(Visitor& v) {
    v("probability", probability);
    v("length", length);
    v("min_spans", min_spans);
  }
  void check() const;  // Exit::usage on a contradiction

  // `u` rounds at random: rows that share it, and are equally long, have equally many spans.
  int64_t spans(int64_t frames, double u) const;
  // A row needs so many for its spans to have places, whatever u is.
  int64_t least_frames() const { return length + min_spans + 1; }
};

// `count` different numbers of [0, n), in ascending order: each set of them is as likely as any other (but for a share
// of n 2^-32 by which single draws differ). Floyd's algorithm (Bentley & Floyd, "A sample of brilliance", CACM 1987).
std::vector<int64_t> draw_subset(int64_t n, int64_t count, const RandomKey& key);

// Sets mask[t] to 1 where frame t is to be guessed and to 0 elsewhere; returns how many are.
int64_t draw_span_mask(const SpanMask& rule, double u, const RandomKey& key, std::span<int32_t> mask);
// Takes frames out of a mask at random until `count` are left.
void thin_mask(int64_t count, const RandomKey& key, std::span<int32_t> mask);

}  // namespace hinoki
