// The CTC loss of a batch; its gradient is made with it.
#include "kernels/ctc_loss.h"

#include "core/ops.h"
#include "kernels/elementwise.h"

namespace hinoki {
namespace {

void check_ctc_shapes(const Tensor& logits, const Tensor& frames, const Tensor& labels, const Tensor& lengths) {
  require(logits.rank() == 3 && logits.contiguous(), "ctc_loss: logits ", logits.shape(),
          " are not [batch, time, classes] in one piece");
  const Shape rows{logits.size(0)};
  require(frames.dtype() == DType::i32 && frames.shape() == rows && frames.contiguous() &&
              lengths.dtype() == DType::i32 && lengths.shape() == rows && lengths.contiguous(),
          "ctc_loss: frames ", frames.dtype(), frames.shape(), " and label lengths ", lengths.dtype(), lengths.shape(),
          " for logits ", logits.shape());
  require(labels.dtype() == DType::i32 && labels.rank() == 1 && labels.contiguous(), "ctc_loss: labels ",
          labels.dtype(), labels.shape(), " are not i32 [total]");
}

// Every row has a path; gives the most labels of a row. All on the CPU.
int64_t check_rows(const Shape& logits, const Tensor& frames, const Tensor& labels, const Tensor& lengths,
                   int64_t blank) {
  const int64_t time = logits[1], classes = logits[2];
  require(0 <= blank && blank < classes, "ctc_loss: blank ", blank, " is none of ", classes, " classes");
  int64_t total = 0, most = 0;
  for (int64_t r = 0; r < logits[0]; ++r) {
    const int64_t count = lengths.as<int32_t>()[r], available = frames.as<int32_t>()[r];
    require<Exit::data>(0 <= available && available <= time, "ctc_loss: row ", r, " has ", available, " frames of ",
                        time);
    require<Exit::data>(0 <= count && count <= labels.numel() - total, "ctc_loss: row ", r, " has ", count,
                        " labels, of ", labels.numel(), " only ", labels.numel() - total, " are left");
    const int32_t* const of_row = labels.as<int32_t>() + total;
    int64_t repeats = 0;
    for (int64_t i = 0; i < count; ++i) {
      require<Exit::data>(0 <= of_row[i] && of_row[i] < classes && of_row[i] != blank, "ctc_loss: label ", of_row[i],
                          " at place ", i, " of row ", r, " is not in [0, ", classes, ") or is the blank ", blank);
      repeats += i > 0 && of_row[i] == of_row[i - 1];
    }
    require<Exit::data>(count + repeats <= available, "ctc_loss: row ", r, " has ", count, " labels, of which ",
                        repeats, " repeat the one before: they need ", count + repeats, " frames, it has ", available);
    total += count;
    most = std::max(most, count);
  }
  require<Exit::data>(total == labels.numel(), "ctc_loss: ", labels.numel(), " labels, but the rows have ", total);
  return most;
}

}  // namespace

Tensor ctc_loss(const Tensor& logits, const Tensor& frames, const Tensor& labels, const Tensor& label_lengths,
                int64_t blank) {
  check_ctc_shapes(logits, frames, labels, label_lengths);
  const int64_t rows = logits.size(0);
  const int64_t most = check_rows(logits.shape(), to_device(frames, Device::cpu), to_device(labels, Device::cpu),
                                  to_device(label_lengths, Device::cpu), blank);
  const Tensor gradient = recording({logits}) ? empty_like(logits) : Tensor();
  const auto there = [&](const Tensor& t) { return to_device(t, logits.device()); };
  const Tensor at_frames = there(frames), at_labels = there(labels), at_lengths = there(label_lengths);
  Tensor losses = empty({rows}, DType::f64, logits.device());
  kernels::ctc_loss.run(logits.device(), logits.stream(),
                        {.logits = logits.data(),
                         .frames = static_cast<const int32_t*>(at_frames.data()),
                         .labels = static_cast<const int32_t*>(at_labels.data()),
                         .label_lengths = static_cast<const int32_t*>(at_lengths.data()),
                         .loss = static_cast<double*>(losses.data()),
                         .gradient = gradient.defined() ? gradient.data() : nullptr,
                         .rows = rows,
                         .time = logits.size(1),
                         .classes = logits.size(2),
                         .most_labels = most,
                         .blank = blank,
                         .dtype = logits.dtype()});
  Tensor total = zeros({}, DType::f64);
  losses = to_device(losses, Device::cpu);
  for (int64_t r = 0; r < rows; ++r) *total.as<double>() += losses.as<double>()[r];

  return differentiable(total, {logits}, [gradient](const Tensor& dy) -> Grads {
    if (const double factor = dy.item(); factor != 1)
      kernels::scale.run(gradient.device(), gradient.stream(),
                         {.x = gradient.data(),
                          .y = gradient.data(),
                          .factor = factor,
                          .count = gradient.numel(),
                          .dtype = gradient.dtype()});
    return {gradient};
  });
}

}  // namespace hinoki
