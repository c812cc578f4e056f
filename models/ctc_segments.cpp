#include "models/ctc_segments.h"

#include <algorithm>
#include <limits>

namespace hinoki {

std::vector<SoundWindow> cut_windows(int64_t frames, int64_t window, int64_t margin) {
  require<Exit::usage>(window >= 1 && margin >= 0 && window > 2 * margin, "windows of ", window,
                       " frames have no middle between margins of ", margin);
  std::vector<SoundWindow> windows;
  if (frames <= 0) return windows;
  if (frames <= window) return {{0, frames, 0, frames}};
  for (int64_t first = 0, kept = 0; kept < frames;) {
    first = std::min(first, frames - window);
    const bool last = first + window == frames;
    const int64_t end = last ? frames : first + window - margin;
    windows.push_back({first, window, kept, end});
    kept = end;
    first = end - margin;
  }
  return windows;
}

CtcSegments::CtcSegments(int64_t classes, int64_t blank, const SegmentRule& rule)
    : classes_(classes), blank_(blank), rule_(rule) {
  require(rule.pause >= 1 && rule.most > rule.pause, "segments of ", rule.most, " frames with pauses of ", rule.pause);
}

void CtcSegments::add(const Tensor& logits) {
  require(logits.rank() == 2 && logits.size(1) == classes_ && logits.contiguous(), "ctc: logits ", logits.shape(),
          " are not [frames, ", classes_, "]");
  waiting_.insert(waiting_.end(), logits.as<float>(), logits.as<float>() + logits.numel());
}

float CtcSegments::lead(int64_t t) const {
  const float* const x = waiting_.data() + t * classes_;
  float other = -std::numeric_limits<float>::infinity();
  for (int64_t v = 0; v < classes_; ++v)
    if (v != blank_) other = std::max(other, x[v]);
  return x[blank_] - other;
}

CtcSegments::Segment CtcSegments::take(int64_t frames) {
  const auto end = waiting_.begin() + frames * classes_;
  Segment segment{first_, from_values<float>({frames, classes_}, std::span(waiting_.begin(), end))};
  waiting_.erase(waiting_.begin(), end);
  first_ += frames;
  seen_ = silent_ = 0;
  speech_ = false;
  return segment;
}

std::optional<CtcSegments::Segment> CtcSegments::next(bool last) {
  const auto waiting = [&] { return int64_t(waiting_.size()) / classes_; };
  while (seen_ < waiting()) {
    const bool blank = lead(seen_++) >= 0;
    silent_ = blank ? silent_ + 1 : 0;
    speech_ |= !blank;
    if (speech_ && silent_ == rule_.pause) return take(seen_);
    if (seen_ < rule_.most) continue;
    if (!speech_) {
      take(seen_);
      continue;
    }
    int64_t cut = seen_;
    float most = 0;
    for (int64_t t = rule_.most * 2 / 3; t < seen_; ++t)
      if (const float by = lead(t); by > most) most = by, cut = t + 1;
    return take(cut);
  }
  if (!last || !speech_) return std::nullopt;
  return take(waiting());
}

}  // namespace hinoki
