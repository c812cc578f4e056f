// What a CTC model has recognised: from the scores of frames to labels and where each of them was said.
#pragma once
#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace hinoki {

// A label and the frames that say it, [first, last].
struct CtcLabel {
  int32_t id;
  int64_t first, last;
};

struct CtcText {
  std::vector<CtcLabel> labels;
  // Greedy: of its one path. Beam: of the labels, over all alignments that the search has seen. log_p of an alignment
  // is that of its path.
  double log_p = 0;
};

// Logits of one utterance, f32 [frames, classes] on the CPU, as a model gives them. The class `blank` says nothing.

// The likeliest class of each frame; repeats count once. Of equal classes the first.
CtcText ctc_greedy(const Tensor& logits, int64_t blank);

// Prefix beam search (Hannun et al. 2014) without a language model: of each frame the `width` likeliest beginnings of a
// text are kept, a beginning's probability being the sum over its alignments. All classes are tried, though only the
// likeliest can survive. Where labels were said is their likeliest alignment. Frames x (classes + width^2) operations.
CtcText ctc_beam(const Tensor& logits, int64_t blank, int64_t width);

// The likeliest alignment of labels (Viterbi). Labels that do not fit the frames are Exit::data.
CtcText ctc_align(const Tensor& logits, int64_t blank, const std::vector<int32_t>& labels);

}  // namespace hinoki
