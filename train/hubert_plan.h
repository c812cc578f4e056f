// What HuBERT's pretraining needs, from arithmetic alone.
#pragma once
#include "train/hubert_config.h"
#include "train/plan.h"

namespace hinoki {

// Floating-point operations of one row, forward and backward; a multiply-add is two. As PyTorch's are counted: the
// backward pass is twice the forward one for everything, the first convolution among it, and attention counts in full.
struct HubertCost {
  double extractor = 0, encoder = 0, attention = 0, targets = 0;
  double total() const { return extractor + encoder + attention + targets; }
};
HubertCost hubert_row_cost(const HubertConfig& config);

// Frames of a row that are masked, on average: fewer than mask.probability of them, for spans overlap.
double masked_frames_of_row(const SpanMask& mask, int64_t frames);

}  // namespace hinoki
