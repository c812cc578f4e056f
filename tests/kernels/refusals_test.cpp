// What no CUDA kernel takes is refused by the kernel's name before anything is launched: every kernel is asked for f64
// (but for those that have no dtype), and those with a limit of size for more than that.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "core/base/device.h"
#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/bias_gelu.h"
#include "kernels/cache_append.h"
#include "kernels/cast.h"
#include "kernels/column_sum.h"
#include "kernels/conv1d.h"
#include "kernels/copy.h"
#include "kernels/ctc_loss.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/group_norm.h"
#include "kernels/l2_normalize.h"
#include "kernels/layer_norm.h"
#include "kernels/mask_rows.h"
#include "kernels/nearest.h"
#include "kernels/norm.h"
#include "kernels/rotary.h"
#include "kernels/sampling.h"
#include "kernels/softmax_loss.h"
#include "kernels/tree_sum.h"
#include "kernels/unary.h"
#include "kernels/weight_norm.h"
#include "kernels/weighted_squares.h"
#include "tests/support/expect_error.h"

namespace hinoki::kernels::refusals_test {
namespace {

constexpr int64_t kTooMany = int64_t{1} << 31, kFarTooMany = int64_t{1} << 50;

std::set<std::string> refused;  // kernels by name

// Pointers are null: whatever is launched ends with another message.
template <class Args>
void refuses(const Kernel<Args>& kernel, const Args& args, const std::string& why) {
  refused.insert(kernel.name());
  EXPECT_ERROR(kernel.run(Device::cuda, {}, args), Exit::failure, why);
  try {
    kernel.run(Device::cuda, {}, args);
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).rfind(std::string(kernel.name()) + ": ", 0), 0u) << "it says: " << e.what();
  }
}

template <class... Ops>
void refuse_unary(List<Ops...>) {
  const auto each = [](const auto& forward, const auto& backward) {
    refuses(forward, {.x = nullptr, .y = nullptr, .count = 1, .dtype = DType::f64}, "not f64");
    refuses(backward, {.dy = nullptr, .x = nullptr, .dx = nullptr, .count = 1, .dtype = DType::f64}, "not f64");
    refuses(forward, {.x = nullptr, .y = nullptr, .count = kFarTooMany, .dtype = DType::f32}, "a grid of ");
  };
  (each(unary<Ops>, unary_grad<Ops>), ...);
}

void refuse_elementwise() {
  for (const DType dtype : {DType::f64, DType::bf16}) {
    const int64_t count = dtype == DType::f64 ? 1 : kFarTooMany;
    const std::string why = dtype == DType::f64 ? "not f64" : "a grid of ";
    for (const auto* kernel : {&add, &mul})
      refuses(*kernel, {.a = nullptr, .b = nullptr, .y = nullptr, .count = count, .dtype = dtype}, why);
    for (const auto* kernel : {&scale, &axpy})
      refuses(*kernel, {.x = nullptr, .y = nullptr, .factor = 1, .count = count, .dtype = dtype}, why);
    refuses(fill, {.y = nullptr, .value = 0, .count = count, .dtype = dtype}, why);
    refuses(dropout, {.x = nullptr, .y = nullptr, .count = count, .p = 0.5, .key = {}, .dtype = dtype}, why);
    refuses(bias_gelu, {.x = nullptr, .y = nullptr, .rows = count, .cols = 1, .dtype = dtype}, why);
    refuses(bias_gelu_grad, {.dy = nullptr, .x = nullptr, .dx = nullptr, .rows = count, .cols = 1, .dtype = dtype},
            why);
  }
  refuses(dropout, {.x = nullptr, .y = nullptr, .count = 1, .p = 1, .key = {}, .dtype = DType::f32}, "probability 1");
  refuses(cast, {.x = nullptr, .y = nullptr, .count = 1, .from = DType::f64, .to = DType::f32}, "from f64");
  refuses(cast, {.x = nullptr, .y = nullptr, .count = kFarTooMany, .from = DType::f32, .to = DType::bf16},
          "a grid of ");
  refuses(copy, {.x = nullptr, .y = nullptr, .shape = {1}, .x_strides = {1}, .y_strides = {1}, .element = 3},
          "3 bytes");
  refuses(copy, {.x = nullptr, .y = nullptr, .shape = {kFarTooMany}, .x_strides = {1}, .y_strides = {1}, .element = 1},
          "a grid of ");
}

void refuse_sums() {
  refuses(tree_sum, {.x = {}, .terms = 2, .y = nullptr, .count = 1, .dtype = DType::f64}, "not f64");
  refuses(tree_sum, {.x = {}, .terms = 3, .y = nullptr, .count = 1, .dtype = DType::f32}, "3 terms");
  refuses(tree_sum, {.x = {}, .terms = 8, .y = nullptr, .count = kFarTooMany, .dtype = DType::f32}, "a grid of ");
  refuses(column_sum, {.x = nullptr, .sum = nullptr, .rows = 1, .cols = 1, .stride = 1, .dtype = DType::f64},
          "not f64");
  for (const auto* kernel : {&chunk_sums, &squared_norms}) {
    refuses(*kernel, {.x = nullptr, .sums = nullptr, .count = 1, .dtype = DType::f64}, "not f64");
    refuses(*kernel, {.x = nullptr, .sums = nullptr, .count = kFarTooMany, .dtype = DType::f32},
            "elements are too many");
  }
  refuses(finite_check, {.x = nullptr, .first = nullptr, .count = 1, .dtype = DType::f64}, "not f64");
  refuses(finite_check, {.x = nullptr, .first = nullptr, .count = kFarTooMany, .dtype = DType::f32}, "are too many");
}

void refuse_optimizer() {
  AdamW k{.weight = nullptr,
          .gradient = nullptr,
          .m = nullptr,
          .v = nullptr,
          .count = 1,
          .lr = 1,
          .step = 1,
          .dtype = DType::bf16};
  refuses(adamw, k, "not bf16");
  k.dtype = DType::f32, k.count = kFarTooMany;
  refuses(adamw, k, "weights are too many");
  k.count = 1, k.step = 0;
  refuses(adamw, k, "steps count from 1");
}

void refuse_rows() {
  for (const bool large : {false, true}) {
    const int64_t rows = large ? kTooMany : 1;
    const DType dtype = large ? DType::f32 : DType::f64;
    const std::string why = large ? "too many for its CUDA kernel" : "not f64";
    refuses(layer_norm,
            {.x = nullptr,
             .weight = nullptr,
             .y = nullptr,
             .mean = nullptr,
             .rstd = nullptr,
             .rows = rows,
             .cols = 1,
             .eps = 1,
             .dtype = dtype},
            why);
    refuses(layer_norm_grad,
            {.dy = nullptr,
             .s = nullptr,
             .weight = nullptr,
             .mean = nullptr,
             .rstd = nullptr,
             .dx = nullptr,
             .rows = rows,
             .cols = 1,
             .dtype = dtype},
            why);
    refuses(
        embedding,
        {.ids = nullptr, .table = nullptr, .y = nullptr, .rows = 32 * rows, .cols = 1, .vocabulary = 1, .dtype = dtype},
        why);
    refuses(
        embedding_grad,
        {.dy = nullptr, .ids = nullptr, .dtable = nullptr, .rows = rows, .cols = 1, .vocabulary = 1, .dtype = dtype},
        why);
    refuses(softmax_loss,
            {.logits = nullptr, .labels = nullptr, .loss = nullptr, .rows = 1, .vocabulary = rows, .dtype = dtype},
            why);
  }
  Rotary turn{.data = nullptr,
              .rows = 1,
              .heads = 1,
              .row_stride = 8,
              .head_stride = 8,
              .query_offset = 0,
              .key_offset = 4,
              .rotary_dims = 4,
              .cos = nullptr,
              .sin = nullptr,
              .table_rows = 1,
              .dtype = DType::f64};
  refuses(rotary, turn, "not f64");
  turn.dtype = DType::f32, turn.rotary_dims = 3;
  refuses(rotary, turn, "3 dimensions do not pair");
  turn.rotary_dims = 4, turn.heads = int64_t{1} << 28;
  refuses(rotary, turn, "heads of 4 dimensions");
  turn.heads = 1, turn.rows = kFarTooMany;
  refuses(rotary, turn, "a grid of ");
  turn.rows = 1, turn.offset = 1;
  refuses(rotary, turn, "do not fit in a table of 1");

  CacheAppend growth{.k = {}, .v = {}, .keys = nullptr, .values = nullptr, .lines = nullptr, .lengths = nullptr,
                     .batch = 1, .time = 1, .heads = 1, .dim = 1, .cache_lines = 1, .capacity = 1, .dtype = DType::f64};
  refuses(cache_append, growth, "not f64");
  growth.dtype = DType::f32, growth.batch = kFarTooMany;
  refuses(cache_append, growth, "a grid of ");

  TokenSampling sampling{
      .logits = nullptr, .context = nullptr, .tokens = nullptr, .vocabulary = kMostSampled + 1, .position = 0};
  refuses(token_sampling, sampling, "524289 logits");
  sampling.vocabulary = 1, sampling.rows = kTooMany;
  refuses(token_sampling, sampling, "rows are too many for its CUDA kernel");

  Nearest among{.x = nullptr, .centres = nullptr, .labels = nullptr, .rows = 1, .count = 0, .size = 1};
  refuses(nearest, among, "of 0 centres");
  among.count = kTooMany;
  refuses(nearest, among, "of 2147483648 centres");
  among.count = 1, among.rows = kFarTooMany;
  refuses(nearest, among, "a grid of ");
}

void refuse_rows_of_encoders() {
  for (const bool large : {false, true}) {
    const int64_t rows = large ? kFarTooMany : 1;
    const DType dtype = large ? DType::f32 : DType::f64;
    const std::string why = large ? "a grid of " : "not f64";
    refuses(mask_rows,
            {.x = nullptr, .mask = nullptr, .value = nullptr, .y = nullptr, .rows = rows, .cols = 1, .dtype = dtype},
            large ? "too many for its CUDA kernel" : why);
    refuses(l2_normalize,
            {.x = nullptr, .y = nullptr, .inverse = nullptr, .rows = rows, .cols = 1, .eps = 1, .dtype = dtype}, why);
    refuses(l2_normalize_grad,
            {.dy = nullptr,
             .x = nullptr,
             .inverse = nullptr,
             .dx = nullptr,
             .rows = rows,
             .cols = 1,
             .eps = 1,
             .dtype = dtype},
            why);
    refuses(weighted_squares,
            {.x = nullptr, .weights = nullptr, .sums = nullptr, .rows = rows, .cols = 1, .dtype = dtype}, why);
    refuses(weighted_squares_grad,
            {.x = nullptr, .weights = nullptr, .dy = 1, .dx = nullptr, .rows = rows, .cols = 1, .dtype = dtype}, why);
  }
  CtcLoss alignment{.logits = nullptr,
                    .frames = nullptr,
                    .labels = nullptr,
                    .label_lengths = nullptr,
                    .loss = nullptr,
                    .gradient = nullptr,
                    .rows = 1,
                    .time = 1,
                    .classes = 1,
                    .most_labels = 1,
                    .blank = 0,
                    .dtype = DType::f64};
  refuses(ctc_loss, alignment, "not f64");
  alignment.dtype = DType::f32, alignment.time = kFarTooMany;
  refuses(ctc_loss, alignment, "a grid of ");
  alignment.time = 1, alignment.most_labels = 2049;
  refuses(ctc_loss, alignment, "a row of 2049 labels");
  refuses(mask_rows_grad,
          {.dy = nullptr, .mask = nullptr, .dx = nullptr, .dvalue = nullptr, .rows = 1, .cols = 1, .dtype = DType::f64},
          "not f64");
}

void refuse_products() {
  Gemm g{.a = nullptr,
         .b = nullptr,
         .c = nullptr,
         .m = 1,
         .n = 1,
         .k = 1,
         .lda = 1,
         .ldb = 1,
         .ldc = 1,
         .dtype = DType::f64};
  refuses(gemm, g, "not f64");
  g.dtype = g.b_dtype = g.c_dtype = DType::bf16, g.c_dtype = DType::f64;
  refuses(gemm, g, "C is f64 where A is bf16");
  const AttentionShape shape{
      .batch = 1, .heads = 1, .dim = 8, .q_time = 1, .kv_time = 1, .scale = 1, .dtype = DType::f64};
  Attention forward{.shape = shape, .q = {}, .k = {}, .v = {}, .out = {}};
  AttentionGrad backward{
      .shape = shape, .q = {}, .k = {}, .v = {}, .out = {}, .dout = {}, .lse = nullptr, .dq = {}, .dk = {}, .dv = {}};
  refuses(attention, forward, "not f64");
  refuses(attention_grad, backward, "not f64");
  forward.shape.dtype = backward.shape.dtype = DType::bf16;
  forward.shape.dim = backward.shape.dim = 257;
  refuses(attention, forward, "a head has 1 to 256 elements, not 257");
  refuses(attention_grad, backward, "a head has 1 to 256 elements, not 257");
}

void refuse_convolutions() {
  Conv1dShape shape{.batch = 1, .time = 1, .in = 2, .frames = 1, .out = 1, .kernel = 1, .dtype = DType::f64};
  const auto all = [&](const std::string& why) {
    refuses(conv1d, {.shape = shape, .x = nullptr, .weight = nullptr, .y = nullptr}, why);
    refuses(conv1d_grad_weight, {.shape = shape, .dy = nullptr, .x = nullptr, .dweight = nullptr}, why);
    if (why != "a grid of ")  // a product comes first
      refuses(conv1d_grad_input, {.shape = shape, .dy = nullptr, .weight = nullptr, .x = nullptr, .dx = nullptr}, why);
  };
  all("not f64");
  shape.dtype = DType::f32, shape.kernel = kTooMany;
  all("is longer than");
  shape.kernel = 1, shape.frames = kFarTooMany;
  all("a grid of ");
  for (const bool large : {false, true}) {
    const int64_t many = large ? kFarTooMany : 1;
    const DType dtype = large ? DType::f32 : DType::f64;
    const std::string why = large ? "a grid of " : "not f64";
    const GroupNormShape of{.batch = 1, .time = many, .channels = 1, .groups = 1, .dtype = dtype};
    refuses(group_norm,
            {.shape = of,
             .x = nullptr,
             .weight = nullptr,
             .bias = nullptr,
             .y = nullptr,
             .mean = nullptr,
             .rstd = nullptr,
             .eps = 1},
            why);
    refuses(group_norm_grad,
            {.shape = of,
             .dy = nullptr,
             .x = nullptr,
             .weight = nullptr,
             .mean = nullptr,
             .rstd = nullptr,
             .dx = nullptr,
             .dweight = nullptr,
             .dbias = nullptr},
            why);
  }
  refuses(weight_norm,
          {.v = nullptr, .g = nullptr, .w = nullptr, .norms = nullptr, .rows = 1, .cols = 1, .dtype = DType::f64},
          "not f64");
  refuses(weight_norm_grad,
          {.dw = nullptr,
           .v = nullptr,
           .g = nullptr,
           .norms = nullptr,
           .dv = nullptr,
           .dg = nullptr,
           .rows = 1,
           .cols = 1,
           .dtype = DType::f64},
          "not f64");
}

TEST(CudaKernels, RefuseByNameWhatTheyDoNotTake) {
  if (!has_device(Device::cuda)) return;
  refused.clear();
  refuse_unary(UnaryOps{});
  refuse_elementwise();
  refuse_sums();
  refuse_optimizer();
  refuse_rows();
  refuse_rows_of_encoders();
  refuse_products();
  refuse_convolutions();
  for (const KernelRecord* k = all_kernels; k != nullptr; k = k->next) {
    EXPECT_TRUE(!k->on_cuda || refused.contains(k->name)) << k->name << " is not asked for what it does not take";
  }
}

}  // namespace
}  // namespace hinoki::kernels::refusals_test
