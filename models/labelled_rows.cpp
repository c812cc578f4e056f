#include "models/labelled_rows.h"

#include <limits>
#include <vector>

#include "kernels/softmax_loss.h"

namespace hinoki {

LabelledRows find_labelled(const Tensor& labels) {
  require(labels.dtype() == DType::i32 && labels.contiguous() && labels.device() == Device::cpu,
          "find_labelled: labels ", labels.dtype(), labels.shape(), " are not i32 in host memory");
  require(labels.numel() <= std::numeric_limits<int32_t>::max(), "find_labelled: ", labels.numel(),
          " places are more than an i32 counts");
  std::vector<int32_t> rows, theirs;
  for (int64_t i = 0; i < labels.numel(); ++i) {
    const int32_t label = labels.as<int32_t>()[i];
    if (label == kernels::kIgnoredLabel) continue;
    rows.push_back(int32_t(i));
    theirs.push_back(label);
  }
  const Shape shape{int64_t(rows.size())};
  return {from_values<int32_t>(shape, rows), from_values<int32_t>(shape, theirs)};
}

LabelledRows to_device(const LabelledRows& labelled, Device device) {
  return {to_device(labelled.rows, device), to_device(labelled.labels, device)};
}

}  // namespace hinoki
