// Cross entropy of a softmax, row by row, with the gradient in place of the logits.
#pragma once
#include <string>

#include "kernels/kernel.h"

namespace hinoki::kernels {

constexpr int32_t kIgnoredLabel = -100;

// loss[r] = log(sum over v of exp(logits[r][v])) - logits[r][labels[r]]; 0 where the label is ignored. If wanted,
// logits become their gradient, scale * weights[r] * (softmax(logits[r]) - [v == labels[r]]); zeros where the label is
// ignored.
struct SoftmaxLoss {
  void* logits;               // [rows, vocabulary]; unchanged unless `gradient`
  const int32_t* labels;      // [rows]; others than kIgnoredLabel must be in [0, vocabulary)
  double* loss;               // [rows], overwritten
  int32_t* best = nullptr;    // [rows], the first index of the largest logit; null: not wanted
  double* entropy = nullptr;  // [rows], of the softmax in nats; 0 where the label is ignored; null: not wanted
  bool gradient = false;
  double scale = 1;
  const double* weights = nullptr;  // [rows], of the gradients; null: all are 1
  int64_t rows, vocabulary;
  int64_t first_row = 0;  // of logits among all rows, for messages
  DType dtype;
};

inline std::string label_not_in_vocabulary(int64_t label, int64_t row, int64_t vocabulary) {
  return say("softmax_loss: label ", label, " of row ", row, " is not in [0, ", vocabulary, ") nor ", kIgnoredLabel,
             " (ignored)");
}

inline Kernel<SoftmaxLoss> softmax_loss{"softmax_loss"};

}  // namespace hinoki::kernels
