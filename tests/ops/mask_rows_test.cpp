#include <gtest/gtest.h>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::mask_rows_test {
namespace {

using test::Inputs;
using test::integers;
using test::uniform;

Tensor reference(const Tensor& x, const Tensor& mask, const Tensor& value) {
  Tensor y = empty_like(x);
  for (int64_t i = 0, cols = value.numel(); i < x.numel(); ++i)
    y.as<double>()[i] = (mask.as<int32_t>()[i / cols] ? value.as<double>()[i % cols] : x.as<double>()[i]);
  return y;
}

TEST(MaskRows, ReplacesMaskedRows) {
  for (const Shape& shape : {Shape{0, 8}, Shape{1, 1}, Shape{2, 31, 33}, Shape{65, 32}, Shape{1000, 8}, Shape{33, 257}})
    for (const int64_t kinds : {1, 3}) {  // 1: no row is masked
      const int64_t rows = shape.numel() / shape[-1];
      test::check_op(
          {.inputs = {uniform(shape, -1, 1, 1), integers({rows}, 0, kinds, 2), uniform({shape[-1]}, -1, 1, 3)},
           .run = [](const Inputs& in) { return Inputs{mask_rows(in[0], in[1], in[2])}; },
           .reference = [](const Inputs& in) { return Inputs{reference(in[0], in[1], in[2])}; }},
          rows);
    }
}

// The gradient that comes back is shared with another op: it must not be zeroed in place.
TEST(MaskRows, LeavesASharedGradientAlone) {
  test::check_op({.inputs = {uniform({9, 8}, -1, 1, 1), integers({9}, 0, 2, 2), uniform({8}, -1, 1, 3)},
                  .run = [](const Inputs& in) { return Inputs{add(mask_rows(in[0], in[1], in[2]), in[0])}; },
                  .reference =
                      [](const Inputs& in) {
                        Tensor y = reference(in[0], in[1], in[2]);
                        for (int64_t i = 0; i < y.numel(); ++i) y.as<double>()[i] += in[0].as<double>()[i];
                        return Inputs{y};
                      }},
                 9);
}

// The gradient belongs to nobody else here and is zeroed in place; `value` gets one sum on top of the other.
TEST(MaskRows, WorksInPlaceAndAddsToWhatIsThere) {
  for (const Shape& shape : {Shape{1, 1}, Shape{65, 33}, Shape{300, 8}})
    test::check_op({.inputs = {uniform(shape, -1, 1, 1), integers({shape[0]}, 0, 2, 2), uniform({shape[1]}, -1, 1, 3),
                               integers({shape[0]}, 0, 3, 4)},
                    .run =
                        [](const Inputs& in) {
                          return Inputs{add(scale(mask_rows(in[0], in[1], in[2]), 2),
                                            scale(mask_rows(in[0], in[3], in[2]), -0.5))};
                        },
                    .reference =
                        [](const Inputs& in) {
                          Tensor y = reference(in[0], in[1], in[2]);
                          const Tensor other = reference(in[0], in[3], in[2]);
                          for (int64_t i = 0; i < y.numel(); ++i)
                            y.as<double>()[i] = 2 * y.as<double>()[i] - 0.5 * other.as<double>()[i];
                          return Inputs{y};
                        }},
                   2 * shape[0]);
}

TEST(MaskRows, SaysWhatDoesNotFit) {
  const Tensor x = zeros({3, 4}, DType::f32), value = zeros({4}, DType::f32);
  EXPECT_ERROR(mask_rows(x, zeros({3}, DType::i32), zeros({5}, DType::f32)), Exit::failure, "mask_rows: value f32[5]");
  EXPECT_ERROR(mask_rows(x, zeros({2}, DType::i32), value), Exit::failure, "mask_rows: mask i32[2]");
  EXPECT_ERROR(mask_rows(x, zeros({3}, DType::f32), value), Exit::failure, "mask_rows: mask f32[3]");
}

}  // namespace
}  // namespace hinoki::mask_rows_test
