#include "data/span_mask.h"

#include <algorithm>

#include "core/base/check.h"

namespace hinoki {

void SpanMask::check() const {
  require<Exit::usage>(probability >= 0 && probability <= 1, "mask.probability ", probability, " is not in [0, 1]");
  require<Exit::usage>(length >= 1 && length <= 1 << 16, "mask.length ", length, " is not in [1, 65536] frames");
  require<Exit::usage>(min_spans >= 1 && min_spans <= 1 << 16, "mask.min_spans ", min_spans, " is not in [1, 65536]");
}

int64_t SpanMask::spans(int64_t frames, double u) const {
  return std::max(min_spans, int64_t(probability * double(frames) / double(length) + u));
}

std::vector<int64_t> draw_subset(int64_t n, int64_t count, const RandomKey& key) {
  require(count >= 0 && count <= n && n <= int64_t{1} << 32, "cannot draw ", count, " different numbers below ", n);
  std::vector<uint8_t> taken(static_cast<size_t>(n));
  for (int64_t last = n - count; last < n; ++last) {
    const uint64_t bits = philox(key, uint64_t(last))[0];
    const auto draw = size_t(bits * uint64_t(last + 1) >> 32);  // of [0, last]
    taken[taken[draw] ? size_t(last) : draw] = 1;
  }
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < n; ++i)
    if (taken[size_t(i)]) chosen.push_back(i);
  return chosen;
}

int64_t draw_span_mask(const SpanMask& rule, double u, const RandomKey& key, std::span<int32_t> mask) {
  const auto frames = int64_t(mask.size());
  const int64_t spans = rule.spans(frames, u);
  require(spans < frames, frames, " frames cannot hold ", spans, " spans that begin apart");
  std::fill(mask.begin(), mask.end(), 0);
  const int64_t places = std::max(frames - rule.length, spans + 1);
  for (const int64_t start : draw_subset(places, spans, key))
    std::fill_n(mask.begin() + start, std::min(rule.length, frames - start), 1);
  return std::count(mask.begin(), mask.end(), 1);
}

void thin_mask(int64_t count, const RandomKey& key, std::span<int32_t> mask) {
  const int64_t has = std::count(mask.begin(), mask.end(), 1);
  require(count >= 0 && count <= has, "a mask of ", has, " frames cannot be thinned to ", count);
  const std::vector<int64_t> out = draw_subset(has, has - count, key);
  auto next = out.begin();
  int64_t place = 0;
  for (int32_t& m : mask)
    if (m != 0 && next != out.end() && *next == place++) m = 0, ++next;
}

}  // namespace hinoki
