// The places of a batch that something is learned at: of conversations, what stands before the tokens of answers.
#pragma once
#include "core/tensor.h"

namespace hinoki {

struct LabelledRows {
  Tensor rows;    // i32 [count]: places counted through a batch [rows, time], ascending
  Tensor labels;  // i32 [count]: theirs

  int64_t count() const { return rows.numel(); }
};

// Those of labels (i32 [rows, time] in host memory) that are not -100.
LabelledRows find_labelled(const Tensor& labels);
LabelledRows to_device(const LabelledRows& labelled, Device device);

}  // namespace hinoki
