#include <gtest/gtest.h>

#include <cmath>

#include "core/base/device.h"
#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::group_norm_test {
namespace {

using test::Inputs;
using test::uniform;

constexpr double kEps = 1e-5;

// Row by row and group by group, as it is written in the paper.
Tensor reference(const Inputs& in, int64_t groups, const std::vector<int32_t>& lengths) {
  const Tensor &x = in[0], y = zeros(x.shape(), DType::f64);
  const int64_t time = x.size(1), channels = x.size(2), width = channels / groups;
  for (int64_t b = 0; b < x.size(0); ++b)
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t length = lengths.empty() ? time : lengths[b];
      double mean = 0, squares = 0;
      const auto each = [&](auto f) {
        for (int64_t t = 0; t < length; ++t)
          for (int64_t c = g * width; c < (g + 1) * width; ++c) f((b * time + t) * channels + c, c);
      };
      each([&](int64_t i, int64_t) { mean += x.as<double>()[i] / double(length * width); });
      each([&](int64_t i, int64_t) { squares += std::pow(x.as<double>()[i] - mean, 2) / double(length * width); });
      each([&](int64_t i, int64_t c) {
        y.as<double>()[i] =
            (x.as<double>()[i] - mean) / std::sqrt(squares + kEps) * in[1].as<double>()[c] + in[2].as<double>()[c];
      });
    }
  return y;
}

Tensor tensor_of(const std::vector<int32_t>& lengths, Device device) {
  return lengths.empty() ? Tensor() : to_device(from_values<int32_t>({int64_t(lengths.size())}, lengths), device);
}

void check(const Shape& shape, int64_t groups, const std::vector<int32_t>& lengths = {}) {
  SCOPED_TRACE(say("x ", shape, " in ", groups, " groups, ", lengths.size(), " lengths"));
  test::check_op(
      {.inputs = {uniform(shape, -2, 2, 1), uniform({shape[2]}, 0.5, 1.5, 2), uniform({shape[2]}, -1, 1, 3)},
       .run =
           [&](const Inputs& in) {
             return Inputs{group_norm(in[0], groups, in[1], in[2], kEps, tensor_of(lengths, in[0].device()))};
           },
       .reference = [&](const Inputs& in) { return Inputs{reference(in, groups, lengths)}; }},
      8 * shape[1] * shape[2] / groups);
}

// 64 frames are a block on the CPU.
TEST(GroupNorm, EveryChannelAlone) {
  for (const int64_t time : {3, 63, 64, 65, 200}) check({2, time, 5}, 5);
  check({1, 70, 33}, 33);
  check({3, 9, 64}, 64);
}

TEST(GroupNorm, ChannelsInGroups) {
  check({2, 67, 12}, 3);
  check({2, 5, 40}, 1);
  check({1, 130, 66}, 2);
}

TEST(GroupNorm, FramesBeyondTheLengthDoNotCount) {
  check({3, 70, 5}, 5, {70, 3, 65});
  check({2, 130, 8}, 2, {64, 128});
}

TEST(GroupNorm, TakesNoRows) { check({0, 9, 4}, 4); }

// What lies beyond a row's length, and what other rows hold, changes no bit of it: rows may be batched as wanted.
TEST(GroupNorm, RowsDoNotDependOnEachOther) {
  const Tensor x = uniform({2, 100, 6}, -2, 2, 1, DType::f32), weight = uniform({6}, 0, 1, 2, DType::f32);
  const Tensor other = uniform({2, 100, 6}, -2, 2, 7, DType::f32);
  std::copy(x.as<float>(), x.as<float>() + 80 * 6, other.as<float>());
  const auto first = [&](const Tensor& of) {
    const Tensor y = group_norm(of, 3, weight, weight, kEps, from_values<int32_t>({2}, std::vector<int32_t>{80, 100}));
    return contiguous(y.narrow(0, 0, 1));
  };
  EXPECT_TRUE(test::same_bits(first(x), first(other)));
}

TEST(GroupNorm, SilentRowsBecomeTheBias) {
  const Tensor x = zeros({2, 70, 4}, DType::f32), weight = uniform({4}, 0, 1, 2, DType::f32);
  const Tensor y = group_norm(x, 4, weight, weight, kEps, from_values<int32_t>({2}, std::vector<int32_t>{70, 0}));
  for (int64_t i = 0; i < y.numel(); ++i) EXPECT_EQ(y.as<float>()[i], i < 280 ? weight.as<float>()[i % 4] : 0);
}

// Where the mean is large against the deviation, a difference of two sums of squares would be noise.
TEST(GroupNorm, KeepsTheVarianceOfALargeMean) {
  const Tensor x = uniform({1, 300, 3}, -1, 1, 1), weight = uniform({3}, 1, 2, 2), bias = zeros({3}, DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) x.as<double>()[i] = double(float(1000 + x.as<double>()[i]));
  const Tensor y =
      group_norm(test::to(x, DType::f32), 3, test::to(weight, DType::f32), test::to(bias, DType::f32), kEps);
  const Tensor want = reference({x, weight, bias}, 3, {});
  for (int64_t i = 0; i < y.numel(); ++i) EXPECT_NEAR(y.as<float>()[i], want.as<double>()[i], 2e-3);
}

// Into the leaves' own buffers, twice: the second gradient is added to the first.
TEST(GroupNorm, AddsToWhatIsThere) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    if (!has_device(device)) continue;
    SCOPED_TRACE(device);
    const auto there = [&](const Tensor& t) { return to_device(t, device); };
    const Tensor x = there(uniform({2, 70, 6}, -2, 2, 1, DType::f32)), weight = there(uniform({6}, 1, 2, 2, DType::f32)),
                 bias = there(uniform({6}, -1, 1, 3, DType::f32));
    const auto gradients = [&](int times) {
      const Tensor dw = empty_like(weight), db = empty_like(bias), leaf_w = make_leaf(weight, "weight", dw),
                   leaf_b = make_leaf(bias, "bias", db);
      for (int i = 0; i < times; ++i)
        backward({group_norm(x, 3, leaf_w, leaf_b, kEps)}, {there(uniform(x.shape(), -1, 1, 4, DType::f32))});
      return Inputs{to_device(dw, Device::cpu), to_device(db, Device::cpu)};
    };
    const Inputs once = gradients(1), twice = gradients(2);
    for (int i : {0, 1})
      for (int64_t c = 0; c < 6; ++c) EXPECT_NEAR(twice[i].as<float>()[c], 2 * once[i].as<float>()[c], 1e-4) << i;
  }
}

TEST(GroupNorm, SaysWhatDoesNotFit) {
  const auto zero = [](Shape s) { return zeros(s, DType::f32); };
  EXPECT_ERROR(group_norm(zero({2, 9, 4}), 3, zero({4}), zero({4}), kEps), Exit::failure,
               "group_norm: 3 groups of x [2, 9, 4]");
  EXPECT_ERROR(group_norm(zero({2, 9, 4}), 2, zero({4}), zero({5}), kEps), Exit::failure,
               "group_norm: weight is f32[4], bias f32[5], x f32[2, 9, 4]");
  EXPECT_ERROR(group_norm(zero({9, 4}), 2, zero({4}), zero({4}), kEps), Exit::failure,
               "group_norm: x of shape [9, 4] is not [batch, time, channels]");
  EXPECT_ERROR(group_norm(zero({2, 9, 4}), 2, zero({4}), zero({4}), kEps, zero({2})), Exit::failure,
               "group_norm: lengths are not i32");
}

}  // namespace
}  // namespace hinoki::group_norm_test
