// The output projection and its loss, a chunk of rows at a time. While a chunk's logits exist they become their own
// gradient, and both products that need it are done at once: three products in all, none of them again in the backward
// pass, and never more logits than one chunk's.
#include <algorithm>

#include "core/ops.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/softmax_loss.h"

namespace hinoki {

// Rows of a chunk. The weight's gradient is read and written once for each chunk, which at 256 rows costs 7 % of the
// time; 512 are taken while their logits stay within 64 MiB of floats. The bits do not depend on it.
int64_t loss_chunk_rows(int64_t vocab) {
  return std::clamp<int64_t>((int64_t{1} << 24) / std::max<int64_t>(vocab, 1), 256, 512);
}

namespace {

struct Problem {
  const Tensor &x, &weight, &labels;
  int64_t rows, width, vocab;

  Problem(const Tensor& x, const Tensor& weight, const Tensor& labels)
      : x(x), weight(weight), labels(labels), rows(x.size(0)), width(x.size(-1)), vocab(weight.size(0)) {
    require(x.rank() == 2 && x.contiguous() && weight.rank() == 2 && weight.contiguous() && weight.size(1) == width,
            "linear_cross_entropy: x ", x.shape(), ", weight ", weight.shape(), " [vocab, width]");
    require(labels.dtype() == DType::i32 && labels.shape() == Shape{rows} && labels.contiguous(),
            "linear_cross_entropy: labels ", labels.dtype(), labels.shape(), " for ", rows, " rows");
  }

  char* row(const Tensor& t, int64_t i) const {
    return static_cast<char*>(t.data()) + i * width * int64_t(size_of(t.dtype()));
  }

  // Calls body(first row, rows, logits) for each chunk, losses filled in and, with `gradient`, logits = dlogits.
  template <class Body>
  void each_chunk(double* losses, bool gradient, const Body& body) const {
    const int64_t chunk = std::min(loss_chunk_rows(vocab), rows);
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
                                 .loss = losses + i,
                                 .gradient = gradient,
                                 .rows = n,
                                 .vocabulary = vocab,
                                 .first_row = i,
                                 .dtype = x.dtype()});
      body(i, n, logits);
    }
  }
};

void scale_in_place(const Tensor& t, double factor) {
  if (factor != 1 && t.defined())
    kernels::scale.run(t.device(), t.stream(),
                       {.x = t.data(), .y = t.data(), .factor = factor, .count = t.numel(), .dtype = t.dtype()});
}

}  // namespace

Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& labels) {
  const Problem problem(x, weight, labels);
  const int64_t rows = problem.rows, width = problem.width, vocab = problem.vocab;
  const bool gradient = recording({x, weight});
  const Sink to_x(x), to_weight(weight, wide(x.dtype()));
  Tensor losses = empty({rows}, DType::f64, x.device());
  const Tensor dx = gradient && to_x.wanted() ? empty_like(x) : Tensor();
  // Straight into the leaf's buffer, before the backward pass: it is known by then what the cotangent does to it.
  const Sink::Target dweight = gradient ? to_weight.open() : Sink::Target{};
  const bool zero = dweight.tensor.defined() && rows == 0 && !dweight.accumulate;
  if (zero) set_zero(dweight.tensor);
  problem.each_chunk(static_cast<double*>(losses.data()), gradient, [&](int64_t i, int64_t n, const Tensor& dlogits) {
    if (dx.defined())
      kernels::gemm.run(x.device(), x.stream(),
                        {.a = dlogits.data(),
                         .b = weight.data(),
                         .c = problem.row(dx, i),
                         .m = n,
                         .n = width,
                         .k = vocab,
                         .lda = vocab,
                         .ldb = width,
                         .ldc = width,
                         .dtype = x.dtype(),
                         .b_dtype = weight.dtype()});
    if (dweight.tensor.defined())
      kernels::gemm.run(x.device(), x.stream(),
                        {.a = dlogits.data(),
                         .b = problem.row(x, i),
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
  });
  Tensor total = zeros({}, DType::f64);
  losses = to_device(losses, Device::cpu);
  for (int64_t i = 0; i < rows; ++i) *total.as<double>() += losses.as<double>()[i];

  return differentiable(total, {x, weight}, [dx, dweight](const Tensor& dy) -> Grads {
    const double factor = dy.item();
    require(
        factor == 1 || !dweight.in_leaf,
        "linear_cross_entropy: its loss must be the sum that backward() starts from; scale gradients in the optimizer");
    scale_in_place(dx, factor);
    scale_in_place(dweight.tensor, factor);
    return {dx, dweight};
  });
}

Tensor linear_cross_entropy_rows(const Tensor& x, const Tensor& weight, const Tensor& labels) {
  const Problem problem(x, weight, labels);
  const Tensor losses = empty({problem.rows}, DType::f64, x.device());
  problem.each_chunk(static_cast<double*>(losses.data()), false, [](int64_t, int64_t, const Tensor&) {});
  return to_device(losses, Device::cpu);
}

}  // namespace hinoki
