#include "train/batch.h"

#include <vector>

#include "data/batches.h"

namespace hinoki {

Batch make_batch(int64_t rows, int64_t length, const std::function<void(int64_t, std::span<int32_t>)>& fill) {
  Batch batch{empty({rows, length}, DType::i32), empty({rows, length}, DType::i32), {}};
  std::vector<int32_t> window(static_cast<size_t>(length) + 1);
  for (int64_t row = 0; row < rows; ++row) {
    fill(row, window);
    std::copy_n(window.begin(), length, batch.ids.as<int32_t>() + row * length);
    std::copy_n(window.begin() + 1, length, batch.labels.as<int32_t>() + row * length);
  }
  return batch;
}

Batch to_device(const Batch& b, Device device) {
  return {to_device(b.ids, device), to_device(b.labels, device), to_device(b.segments, device)};
}

void add_segments(Batch& batch, int32_t end_of_text) {
  batch.segments = empty(batch.ids.shape(), DType::i32);
  const auto length = static_cast<size_t>(batch.ids.size(1));
  for (int64_t row = 0; row < batch.ids.size(0); ++row)
    number_documents({batch.ids.as<int32_t>() + row * int64_t(length), length}, end_of_text,
                     {batch.segments.as<int32_t>() + row * int64_t(length), length});
}

}  // namespace hinoki
