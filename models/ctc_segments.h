// Recordings of any length: the windows in which a model hears them, and the pauses at which their text is cut.
#pragma once
#include <optional>
#include <vector>

#include "core/tensor.h"

namespace hinoki {

// Frames [first, first + frames) are heard together; of what comes out, [kept, kept_end) is used.
struct SoundWindow {
  int64_t first, frames, kept, kept_end;
};

// Every frame is kept once, in order, and has at least `margin` frames of sound on either side in its window, or the
// beginning or end of the recording. What fits into one window is heard whole; the last window of others ends with the
// recording.
std::vector<SoundWindow> cut_windows(int64_t frames, int64_t window, int64_t margin);

struct SegmentRule {
  int64_t pause = 20;  // frames of which the blank is the likeliest class: here one segment ends
  int64_t most = 750;  // frames of a segment: without such a pause it ends before, in its last third, where the blank
                       // is likeliest, or where that never leads, right there
};

// Logits go in, whole segments come out: each can be decoded alone. Memory is that of one segment and one window.
class CtcSegments {
 public:
  CtcSegments(int64_t classes, int64_t blank, const SegmentRule& rule = {});

  void add(const Tensor& logits);  // f32 [frames, classes] on the CPU
  struct Segment {
    int64_t first;  // frame of the recording
    Tensor logits;  // [frames, classes]
  };
  // The next one that is complete. `last`: no more will be added. Segments in which the blank always leads say nothing,
  // and are passed over.
  std::optional<Segment> next(bool last);

 private:
  Segment take(int64_t frames);
  float lead(int64_t t) const;  // of the blank over the best other class

  const int64_t classes_, blank_;
  const SegmentRule rule_;
  std::vector<float> waiting_;  // [frames, classes]
  int64_t first_ = 0;           // frame of the recording where they begin
  int64_t seen_ = 0;            // frames of them that were looked at
  int64_t silent_ = 0;          // of these, how many at the end in which the blank leads
  bool speech_ = false;         // there is another leader among them
};

}  // namespace hinoki
