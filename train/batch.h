// A batch of token windows as the model wants it: inputs, and the tokens they must predict.
#pragma once
#include <functional>

#include "core/tensor.h"

namespace hinoki {

struct Batch {
  Tensor ids, labels;  // i32 [rows, length]; label t is token t + 1
  Tensor segments;     // i32 [rows, length], or undefined: document numbers, where attention stays inside documents
};

// fill(row, tokens) gives the length + 1 tokens of a row.
Batch make_batch(int64_t rows, int64_t length, const std::function<void(int64_t, std::span<int32_t>)>& fill);
// The same on a device.
Batch to_device(const Batch& batch, Device device);
// Numbers the documents of each row; a document ends with `end_of_text`.
void add_segments(Batch& batch, int32_t end_of_text);

}  // namespace hinoki
