// Connectionist temporal classification (Graves et al. 2006): how likely a sequence of labels is under frame-wise class
// probabilities, over all its alignments, with the gradient of the logits.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// With y[t] = softmax(logits[row][t]) and the row's labels l, alignments are paths through the 2 n + 1 states
// blank l_0 blank l_1 ... blank: a frame stays, moves to the next state, or skips a blank between two labels that
// differ. alpha[t][s] is the probability of all beginnings that end in state s at frame t, beta[t][s] that of all ends
// from there; both are kept as logarithms, sums of which are double: only differences are rounded to `dtype`.
//
//   loss[row] = -log p = -log(alpha[last][2 n] + alpha[last][2 n - 1])
//   gradient[row][t][v] = y[t][v] - sum over the states s of class v of alpha[t][s] beta[t][s] / p
//
// and gradients past a row's frames are 0. A row without a path (its logits are -inf) has an infinite loss.
struct CtcLoss {
  const void* logits;            // [rows, time, classes]
  const int32_t* frames;         // [rows], each at most `time`
  const int32_t* labels;         // one row after the other, in [0, classes) without `blank`
  const int32_t* label_lengths;  // [rows]; with the repeats among them no more than the row's frames
  double* loss;                  // [rows], overwritten
  void* gradient;                // [rows, time, classes], overwritten; null: not wanted
  int64_t rows, time, classes;
  int64_t most_labels;  // of a row
  int64_t blank;
  DType dtype;
};

inline Kernel<CtcLoss> ctc_loss{"ctc_loss"};

}  // namespace hinoki::kernels
