#include "train/bench_kernels.h"

#include <algorithm>
#include <cmath>

#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/bias_gelu.h"
#include "kernels/cast.h"
#include "kernels/column_sum.h"
#include "kernels/copy.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/layer_norm.h"
#include "kernels/norm.h"
#include "kernels/rotary.h"
#include "kernels/softmax_loss.h"
#include "train/bench_convolutions.h"
#include "train/kernel_bench.h"

namespace hinoki {
namespace {

struct Sizes {
  int64_t batch, time, width, heads, vocab, chunk, flat, square;
  double seconds;  // of one round of measuring
  int64_t rows() const { return batch * time; }
};
constexpr Sizes kFull{8, 2048, 2048, 16, 32000, 4096, int64_t{1} << 28, 8192, 0.1};
constexpr Sizes kOnCpu{1, 512, 768, 12, 32000, 256, int64_t{1} << 24, 2048, 0.1};
constexpr Sizes kTiny{1, 32, 64, 2, 100, 8, 1000, 64, 0};

kernels::Gemm product(const Tensor& a, const Tensor& b, const Tensor& c, int64_t k) {
  return {.a = a.data(),
          .b = b.data(),
          .c = c.data(),
          .m = c.size(0),
          .n = c.size(1),
          .k = k,
          .lda = a.size(1),
          .ldb = b.size(1),
          .ldc = c.size(1),
          .a_transposed = a.size(0) == k && a.size(1) != k,
          .b_transposed = b.size(1) == k && b.size(0) != k,
          .dtype = a.dtype(),
          .b_dtype = b.dtype(),
          .c_dtype = c.dtype()};
}

double copy_speed(const KernelBench& bench, int64_t count) {
  const Tensor from = bench.random({count}, DType::f32), there = bench.room({count}, DType::f32);
  return 8 * double(count) / bench.seconds_of([&] { copy_elements(from, there); });
}

double product_speed(const KernelBench& bench, int64_t largest, DType dtype) {
  double best = 0;
  for (const int64_t n : {largest / 2, largest}) {
    const Tensor a = bench.random({n, n}, dtype), b = bench.random({n, n}, dtype), c = bench.room({n, n}, dtype);
    const kernels::Gemm g = product(a, b, c, n);
    const double seconds = bench.seconds_of([&] { kernels::gemm.run(a.device(), {}, g); });
    best = std::max(best, 2 * double(n) * double(n) * double(n) / seconds);
  }
  return best;
}

// The three products of a layer, forward with a bias and the weight's gradient with the bias's.
void measure_products(KernelBench& bench, const Sizes& s, DType dtype) {
  const int64_t out = 4 * s.width;
  const Tensor x = bench.random({s.rows(), s.width}, dtype), w = bench.random({out, s.width}, dtype),
               y = bench.random({s.rows(), out}, dtype), bias = bench.random({out}, dtype);
  const Tensor dx = bench.room(x.shape(), dtype), dw = bench.room(w.shape(), wide(dtype)),
               dbias = bench.room({out}, wide(dtype));
  const double flops = 2 * double(s.rows()) * double(s.width) * double(out);
  kernels::Gemm forward = product(x, w, y, s.width);
  forward.b_transposed = true, forward.bias = bias.data();
  bench.measure("gemm forward + bias", kernels::gemm, forward, dtype, 0, flops);
  bench.measure("gemm dx", kernels::gemm, product(y, w, dx, out), dtype, 0, flops);
  kernels::Gemm weight = product(y, x, dw, s.rows());
  weight.a_transposed = true, weight.b_transposed = false, weight.a_sums = dbias.data();
  bench.measure("gemm dw + dbias", kernels::gemm, weight, dtype, 0, flops);
}

void measure_attention(KernelBench& bench, const Sizes& s, DType dtype, int64_t dim) {
  const int64_t width = s.heads * dim;
  const Tensor qkv = bench.random({s.rows(), 3 * width}, dtype), dout = bench.random({s.rows(), width}, dtype);
  const Tensor out = bench.room({s.rows(), width}, dtype), dqkv = bench.room(qkv.shape(), dtype),
               lse = bench.room({s.batch, s.heads, s.time}, wide(dtype));
  const auto at = [&](const Tensor& t, int64_t offset) {
    return static_cast<char*>(t.data()) + offset * int64_t(size_of(dtype));
  };
  const auto in = [&](int64_t offset) {
    return kernels::HeadRows{at(qkv, offset), s.time * 3 * width, 3 * width, 3 * dim};
  };
  const auto gradient = [&](int64_t offset) {
    return kernels::MutableHeadRows{at(dqkv, offset), s.time * 3 * width, 3 * width, 3 * dim};
  };
  const kernels::AttentionShape shape{.batch = s.batch,
                                      .heads = s.heads,
                                      .dim = dim,
                                      .q_time = s.time,
                                      .kv_time = s.time,
                                      .scale = 1 / std::sqrt(double(dim)),
                                      .dtype = dtype};
  // The causal half of one product.
  const double flops = double(s.batch * s.heads) * double(s.time) * double(s.time + 1) * double(dim);
  bench.measure(say("attention, dim ", dim), kernels::attention,
                {.shape = shape,
                 .q = in(0),
                 .k = in(dim),
                 .v = in(2 * dim),
                 .out = {out.data(), s.time * width, width, dim},
                 .lse = lse.data()},
                dtype, 0, 2 * flops);
  bench.measure(say("attention_grad, dim ", dim), kernels::attention_grad,
                {.shape = shape,
                 .q = in(0),
                 .k = in(dim),
                 .v = in(2 * dim),
                 .out = {out.data(), s.time * width, width, dim},
                 .dout = {dout.data(), s.time * width, width, dim},
                 .lse = lse.data(),
                 .dq = gradient(0),
                 .dk = gradient(dim),
                 .dv = gradient(2 * dim)},
                dtype, 0, 5 * flops);
}

void measure_layer(KernelBench& bench, const Sizes& s, DType dtype) {
  const int64_t rows = s.rows(), cols = s.width, wide_cols = 4 * cols;
  const DType sums = wide(dtype);
  const double array = double(rows * cols) * double(size_of(dtype));
  const Tensor x = bench.random({rows, cols}, dtype), dy = bench.random({rows, cols}, dtype),
               y = bench.room({rows, cols}, dtype), sum = bench.room({rows, cols}, dtype);
  const Tensor weight = bench.random({cols}, dtype), mean = bench.room({rows}, sums), rstd = bench.room({rows}, sums),
               dweight = bench.room({cols}, sums), dbias = bench.room({wide_cols}, sums);
  bench.measure("layer_norm + residual", kernels::layer_norm,
                {.x = x.data(),
                 .delta = dy.data(),
                 .weight = weight.data(),
                 .bias = weight.data(),
                 .sum = sum.data(),
                 .y = y.data(),
                 .mean = mean.data(),
                 .rstd = rstd.data(),
                 .rows = rows,
                 .cols = cols,
                 .eps = 1e-5,
                 .dtype = dtype},
                dtype, 4 * array);
  bench.measure("layer_norm_grad", kernels::layer_norm_grad,
                {.dy = dy.data(),
                 .s = sum.data(),
                 .weight = weight.data(),
                 .mean = mean.data(),
                 .rstd = rstd.data(),
                 .dsum = x.data(),
                 .dx = y.data(),
                 .dweight = dweight.data(),
                 .dbias = dbias.data(),
                 .rows = rows,
                 .cols = cols,
                 .dtype = dtype},
                dtype, 4 * array);
  bench.measure(
      "dropout + residual", kernels::dropout,
      {.x = x.data(), .residual = dy.data(), .y = y.data(), .count = rows * cols, .p = 0.1, .key = {}, .dtype = dtype},
      dtype, 3 * array);
  bench.measure("add", kernels::add,
                {.a = x.data(), .b = dy.data(), .y = y.data(), .count = rows * cols, .dtype = dtype}, dtype, 3 * array);
  bench.measure("copy, heads first", kernels::copy,
                {.x = x.data(),
                 .y = y.data(),
                 .shape = {s.batch, s.heads, s.time, cols / s.heads},
                 .x_strides = {s.time * cols, cols / s.heads, cols, 1},
                 .y_strides = {s.time * cols, s.time * (cols / s.heads), cols / s.heads, 1},
                 .element = size_of(dtype)},
                dtype, 2 * array);
  const Tensor ids = bench.ids(rows, s.vocab), table = bench.random({s.vocab, cols}, dtype),
               dtable = bench.room({s.vocab, cols}, sums);
  bench.measure("embedding", kernels::embedding,
                {.ids = static_cast<const int32_t*>(ids.data()),
                 .table = table.data(),
                 .y = y.data(),
                 .rows = rows,
                 .cols = cols,
                 .vocabulary = s.vocab,
                 .dtype = dtype},
                dtype, 2 * array);
  bench.measure("embedding_grad", kernels::embedding_grad,
                {.dy = dy.data(),
                 .ids = static_cast<const int32_t*>(ids.data()),
                 .dtable = dtable.data(),
                 .rows = rows,
                 .cols = cols,
                 .vocabulary = s.vocab,
                 .dtype = dtype},
                dtype, array + double(s.vocab * cols) * double(size_of(sums)));
  const Tensor up = bench.random({rows, wide_cols}, dtype), dup = bench.random({rows, wide_cols}, dtype),
               bias = bench.random({wide_cols}, dtype), down = bench.room({rows, wide_cols}, dtype),
               again = bench.room({rows, wide_cols}, dtype);
  bench.measure(
      "bias_gelu", kernels::bias_gelu,
      {.x = up.data(), .bias = bias.data(), .y = down.data(), .rows = rows, .cols = wide_cols, .dtype = dtype}, dtype,
      8 * array);
  bench.measure("bias_gelu_grad + value", kernels::bias_gelu_grad,
                {.dy = dup.data(),
                 .x = up.data(),
                 .bias = bias.data(),
                 .dx = down.data(),
                 .y = again.data(),
                 .dbias = dbias.data(),
                 .rows = rows,
                 .cols = wide_cols,
                 .dtype = dtype},
                dtype, 16 * array);
  bench.measure(
      "column_sum", kernels::column_sum,
      {.x = up.data(), .sum = dbias.data(), .rows = rows, .cols = wide_cols, .stride = wide_cols, .dtype = dtype},
      dtype, 4 * array);
}

void measure_rotary(KernelBench& bench, const Sizes& s, DType dtype) {
  const int64_t dim = s.width / s.heads, turned = dim / 4 / 2 * 2;
  const Tensor qkv = bench.random({s.rows(), 3 * s.width}, dtype),
               table = bench.random({s.time, turned / 2}, wide(dtype));
  bench.measure("rotary, a quarter", kernels::rotary,
                {.data = qkv.data(),
                 .rows = s.rows(),
                 .heads = s.heads,
                 .row_stride = 3 * s.width,
                 .head_stride = 3 * dim,
                 .query_offset = 0,
                 .key_offset = dim,
                 .rotary_dims = turned,
                 .cos = table.data(),
                 .sin = table.data(),
                 .table_rows = s.time,
                 .time = s.time,
                 .dtype = dtype},
                dtype, 4 * double(s.rows() * s.heads * turned) * double(size_of(dtype)));
}

void measure_loss(KernelBench& bench, const Sizes& s, DType dtype) {
  const Tensor logits = bench.random({s.chunk, s.vocab}, dtype), labels = bench.ids(s.chunk, s.vocab),
               loss = bench.room({s.chunk}, DType::f64);
  bench.measure("softmax_loss + gradient", kernels::softmax_loss,
                {.logits = logits.data(),
                 .labels = static_cast<const int32_t*>(labels.data()),
                 .loss = static_cast<double*>(loss.data()),
                 .gradient = true,
                 .rows = s.chunk,
                 .vocabulary = s.vocab,
                 .dtype = dtype},
                dtype, 2 * double(logits.numel()) * double(size_of(dtype)));
}

void measure_optimizer(KernelBench& bench, const Sizes& s, bool copy) {
  const Tensor w = bench.random({s.flat}, DType::f32), g = bench.random({s.flat}, DType::f32),
               m = bench.room({s.flat}, DType::f32), v = bench.room({s.flat}, DType::f32),
               half = copy ? bench.room({s.flat}, DType::bf16) : Tensor(),
               sums = bench.room({kernels::chunks_of(s.flat)}, DType::f64);
  const double count = double(s.flat);
  bench.measure(copy ? "adamw + bf16 copy" : "adamw", kernels::adamw,
                {.weight = w.data(),
                 .gradient = g.data(),
                 .m = m.data(),
                 .v = v.data(),
                 .count = s.flat,
                 .lr = 1e-4,
                 .weight_decay = 0.1,
                 .step = 10,
                 .dtype = DType::f32,
                 .copy = copy ? half.data() : nullptr},
                DType::f32, (copy ? 30 : 28) * count);
  bench.measure("squared_norms", kernels::squared_norms,
                {.x = g.data(), .sums = static_cast<double*>(sums.data()), .count = s.flat, .dtype = DType::f32},
                DType::f32, 4 * count);
  if (copy)
    bench.measure("cast f32 to bf16", kernels::cast,
                  {.x = w.data(), .y = half.data(), .count = s.flat, .from = DType::f32, .to = DType::bf16},
                  DType::bf16, 6 * count);
}

}  // namespace

double measure_product_peak(Device device, DType dtype) {
  KernelSpeeds none;
  return product_speed(KernelBench(device, kFull.seconds, none), kFull.square, dtype);
}

KernelSpeeds bench_kernels(Device device, bool tiny, const std::string& only) {
  const NoGrad no_grad;
  const Sizes& sizes = tiny ? kTiny : device == Device::cpu ? kOnCpu : kFull;
  const DType dtype = device == Device::cuda ? DType::bf16 : DType::f32;
  KernelSpeeds speeds;
  KernelBench bench(device, sizes.seconds, speeds, only);
  speeds.copy_bytes_per_second = copy_speed(bench, sizes.flat);
  speeds.flops_per_second = product_speed(bench, sizes.square, dtype);
  measure_layer(bench, sizes, dtype);
  measure_rotary(bench, sizes, dtype);
  measure_loss(bench, sizes, dtype);
  measure_optimizer(bench, sizes, device == Device::cuda);
  measure_products(bench, sizes, dtype);
  for (const int64_t dim : {64, 80, 96, 128}) measure_attention(bench, sizes, dtype, dim);
  measure_convolutions(bench, dtype, tiny);
  return speeds;
}

}  // namespace hinoki
