// The output projection of a language model, a chunk of rows at a time: whoever needs something of its logits does it
// while a chunk of them exists.
#pragma once
#include <algorithm>

#include "core/ops.h"
#include "kernels/gemm.h"
#include "kernels/softmax_loss.h"

namespace hinoki {

struct HeadChunks {
  const char* op;  // for messages
  const Tensor &x, &weight, &labels;
  int64_t rows, width, vocab;

  HeadChunks(const char* op, const Tensor& x, const Tensor& weight, const Tensor& labels)
      : op(op), x(x), weight(weight), labels(labels), rows(x.size(0)), width(x.size(-1)), vocab(weight.size(0)) {
    require(x.rank() == 2 && x.contiguous() && weight.rank() == 2 && weight.contiguous() && weight.size(1) == width, op,
            ": x ", x.shape(), ", weight ", weight.shape(), " [vocab, width]");
    require(labels.dtype() == DType::i32 && labels.shape() == Shape{rows} && labels.contiguous(), op, ": labels ",
            labels.dtype(), labels.shape(), " for ", rows, " rows");
  }

  char* row(const Tensor& t, int64_t i) const {
    return static_cast<char*>(t.data()) + i * width * int64_t(size_of(t.dtype()));
  }

  // What of each row is wanted of the softmax; its logits become their gradient if that is.
  struct Wanted {
    double* losses;               // [rows]
    double* entropies = nullptr;  // [rows]
    bool gradient = false;
    double scale = 1;                 // of the gradient
    const double* weights = nullptr;  // [rows], of the gradient
  };
  // Calls body(first row, rows, logits) for each chunk, when that is done.
  template <class Body>
  void each(const Wanted& wanted, const Body& body) const {
    const int64_t chunk = std::min(loss_chunk_rows(vocab, x.device()), rows);
    Tensor logits = empty({chunk, vocab}, x.dtype(), x.device());
    for (int64_t i = 0; i < rows; i += chunk) {
      const int64_t n = std::min(chunk, rows - i);
      kernels::gemm.run(x.device(), x.stream(),
                        {.a = row(x, i),
                         .b = weight.data(),
                         .c = logits.data(),
                         .m = n,
                         .n = vocab,
                         .k = width,
                         .lda = width,
                         .ldb = width,
                         .ldc = vocab,
                         .b_transposed = true,
                         .dtype = x.dtype(),
                         .b_dtype = weight.dtype()});
      kernels::softmax_loss.run(x.device(), x.stream(),
                                {.logits = logits.data(),
                                 .labels = static_cast<const int32_t*>(labels.data()) + i,
                                 .loss = wanted.losses + i,
                                 .entropy = wanted.entropies ? wanted.entropies + i : nullptr,
                                 .gradient = wanted.gradient,
                                 .scale = wanted.scale,
                                 .weights = wanted.weights ? wanted.weights + i : nullptr,
                                 .rows = n,
                                 .vocabulary = vocab,
                                 .first_row = i,
                                 .dtype = x.dtype()});
      body(i, n, logits);
    }
  }

  // The two products of a chunk's gradient: into or onto dweight, and into rows of dx, where they are wanted. The
  // latter may be the rows of x.
  void gradients(int64_t i, int64_t n, const Tensor& dlogits, const Tensor& dx, const Sink::Target& dweight) const {
    if (dweight.tensor.defined())
      kernels::gemm.run(x.device(), x.stream(),
                        {.a = dlogits.data(),
                         .b = row(x, i),
                         .c = dweight.data(),
                         .m = vocab,
                         .n = width,
                         .k = n,
                         .lda = vocab,
                         .ldb = width,
                         .ldc = width,
                         .a_transposed = true,
                         .accumulate = i > 0 || dweight.accumulate,
                         .dtype = x.dtype(),
                         .b_dtype = x.dtype(),
                         .c_dtype = dweight.tensor.dtype()});
    if (dx.defined())
      kernels::gemm.run(x.device(), x.stream(),
                        {.a = dlogits.data(),
                         .b = weight.data(),
                         .c = row(dx, i),
                         .m = n,
                         .n = width,
                         .k = vocab,
                         .lda = vocab,
                         .ldb = width,
                         .ldc = width,
                         .dtype = x.dtype(),
                         .b_dtype = weight.dtype()});
  }
};

}  // namespace hinoki
