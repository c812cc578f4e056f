#include "kernels/conv1d.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "core/base/device.h"
#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::conv1d_test {
namespace {

using test::Inputs;
using test::uniform;

struct Case {
  int64_t batch, time, in, out, kernel;
  Conv1dOptions options = {};
  bool biased = true;

  Inputs inputs() const {
    return {uniform({batch, time, in}, -2, 2, 1), uniform({out, in / options.groups, kernel}, -1, 1, 2),
            biased ? uniform({out}, -1, 1, 3) : Tensor()};
  }
  Tensor run(const Inputs& in) const { return conv1d(in[0], in[1], in[2], options); }
  // The sum as it stands in core/ops.h.
  Tensor reference(const Inputs& inputs) const {
    const Conv1dOptions& o = options;
    const int64_t frames = (time + o.pad_left + o.pad_right - kernel) / o.stride + 1;
    const int64_t width = in / o.groups, out_width = out / o.groups;
    const double *x = inputs[0].as<double>(), *weight = inputs[1].as<double>();
    Tensor y = empty({batch, frames, out}, DType::f64);
    for (int64_t i = 0; i < y.numel(); ++i) {
      const int64_t b = i / (frames * out), t = i / out % frames, channel = i % out;
      double sum = inputs[2].defined() ? inputs[2].as<double>()[channel] : 0;
      for (int64_t k = 0; k < kernel; ++k)
        for (int64_t c = 0; c < width; ++c) {
          const int64_t at = t * o.stride + k - o.pad_left;
          if (at < 0 || at >= time) continue;
          double value = x[(b * time + at) * in + channel / out_width * width + c];
          if (o.gelu_input) value *= 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
          sum += value * weight[(channel * width + c) * kernel + k];
        }
      y.as<double>()[i] = sum;
    }
    return y;
  }
  // Terms of the longest sum: that of an output, or of a weight's gradient.
  int64_t length() const { return std::max(in * kernel, batch * time) * (options.gelu_input ? 4 : 1); }
};

void check(const Case& c) {
  SCOPED_TRACE(say("x [", c.batch, ", ", c.time, ", ", c.in, "] out ", c.out, " kernel ", c.kernel, " stride ",
                   c.options.stride, " pads ", c.options.pad_left, "/", c.options.pad_right, " groups ",
                   c.options.groups, " gelu ", c.options.gelu_input, " bias ", c.biased));
  test::check_op({.inputs = c.inputs(),
                  .run = [&](const Inputs& in) { return Inputs{c.run(in)}; },
                  .reference = [&](const Inputs& in) { return Inputs{c.reference(in)}; }},
                 c.length());
}

// The layers of HuBERT's extractor at a few channels, then what it does not have.
TEST(Conv1d, Strides) {
  for (const bool gelu : {false, true})
    for (const bool biased : {false, true}) {
      check({2, 33, 5, 9, 3, {.stride = 2, .gelu_input = gelu}, biased});
      check({3, 16, 4, 33, 2, {.stride = 2, .gelu_input = gelu}, biased});
      check({2, 40, 3, 8, 3, {.stride = 1, .gelu_input = gelu}, biased});
      check({1, 31, 2, 4, 2, {.stride = 3, .gelu_input = gelu}, biased});  // frames between the windows
      check({2, 29, 2, 3, 7, {.stride = 3, .gelu_input = gelu}, biased});
    }
}

TEST(Conv1d, OneChannelIn) {
  for (const bool biased : {false, true}) {
    check({2, 61, 1, 33, 10, {.stride = 5}, biased});
    check({1, 400, 1, 16, 10, {.stride = 5}, biased});
    check({2, 200, 1, 150, 10, {.stride = 5}, biased});  // wider than a block of channels
    check({1, 350, 1, 192, 10, {.stride = 5}, biased});  // and written past the caches
    check({2, 23, 1, 1, 3, {.stride = 1, .pad_left = 1, .pad_right = 1, .gelu_input = true}, biased});
  }
}

TEST(Conv1d, Pads) {
  for (const bool gelu : {false, true}) {
    check({2, 9, 3, 5, 4, {.stride = 1, .pad_left = 2, .pad_right = 1, .gelu_input = gelu}});
    check({2, 9, 3, 5, 4, {.stride = 2, .pad_left = 3, .pad_right = 5, .gelu_input = gelu}});
    check({1, 1, 3, 5, 4, {.stride = 1, .pad_left = 3, .pad_right = 3, .gelu_input = gelu}});
    check({2, 3, 2, 2, 2, {.stride = 1, .pad_left = 7, .gelu_input = gelu}});  // frames that see zeros alone
  }
}

TEST(Conv1d, Groups) {
  for (const bool gelu : {false, true}) {
    check({2, 21, 8, 8, 6, {.stride = 1, .pad_left = 3, .pad_right = 2, .groups = 4, .gelu_input = gelu}});
    check({1, 35, 6, 9, 5, {.stride = 2, .pad_left = 1, .groups = 3, .gelu_input = gelu}});
    check({2, 13, 4, 4, 3, {.groups = 4, .gelu_input = gelu}, false});
  }
}

// Sizes beyond one tile, one panel and one pass over k of the products.
TEST(Conv1d, LargerThanABlock) {
  check({2, 130, 40, 70, 3, {.stride = 2, .gelu_input = true}});
  check({1, 60, 200, 20, 3, {.stride = 2}});
  check({2, 150, 32, 32, 40, {.pad_left = 20, .pad_right = 19, .groups = 2}});
}

// On CUDA the batch goes in pieces where its windows are too many.
TEST(Conv1d, InPieces) {
  const int64_t before = std::exchange(kernels::conv1d_room_limit, 2 * 16 * 15);  // two rows of three
  check({3, 33, 5, 9, 3, {.stride = 2, .gelu_input = true}});
  check({3, 12, 4, 4, 3, {.pad_left = 1, .pad_right = 1, .groups = 2}});
  kernels::conv1d_room_limit = before;
}

TEST(Conv1d, TakesNoRows) { check({0, 9, 3, 4, 3, {.stride = 2}}); }

// Bits of a row are those it has alone.
TEST(Conv1d, RowsDoNotDependOnEachOther) {
  for (const Case& c :
       {Case{3, 90, 1, 40, 10, {.stride = 5}}, Case{3, 90, 24, 40, 3, {.stride = 2, .gelu_input = true}},
        Case{3, 50, 32, 32, 16, {.pad_left = 8, .pad_right = 7, .groups = 4}}}) {
    const auto run = [&](const Tensor& x, const Tensor& dy) {
      const Inputs in = c.inputs();
      const Tensor leaf = make_leaf(x);
      const Tensor y = conv1d(leaf, test::to(in[1], DType::f32), test::to(in[2], DType::f32), c.options);
      backward({y}, {dy.defined() ? dy : uniform(y.shape(), -1, 1, 9, DType::f32)});
      return Inputs{y.detach(), leaf.grad()};
    };
    const Tensor x = test::to(c.inputs()[0], DType::f32);
    const Inputs all = run(x, {});
    const Tensor dy = uniform(all[0].shape(), -1, 1, 9, DType::f32);
    for (int64_t b = 0; b < c.batch; ++b) {
      const auto row = [&](const Tensor& t) { return contiguous(t.narrow(0, b, 1)); };
      const Inputs alone = run(row(x), row(dy));
      for (int i : {0, 1}) EXPECT_TRUE(test::same_bits(row(all[i]), alone[i])) << "row " << b << ", tensor " << i;
    }
  }
}

void check_wanted(const Case& c, Device device) {
  SCOPED_TRACE(device);
  const auto gradients = [&](const std::vector<bool>& wanted, int times) {
    Inputs in, grads;
    for (const Tensor& t : c.inputs()) {
      const Tensor there = to_device(test::to(t, DType::f32), device);
      in.push_back(wanted[in.size()] ? make_leaf(there) : there);
    }
    for (int i = 0; i < times; ++i) {
      const Tensor y = c.run(in);
      backward({y}, {to_device(uniform(y.shape(), -1, 1, 6, DType::f32), device)});
    }
    for (const Tensor& x : in) grads.push_back(x.grad().defined() ? to_device(x.grad(), Device::cpu) : Tensor());
    return grads;
  };
  const Inputs all = gradients({true, true, true}, 1), twice = gradients({true, true, true}, 2);
  for (int only = 0; only < 3; ++only) {
    const Inputs some = gradients({only == 0, only == 1, only == 2}, 1);
    for (int i = 0; i < 3; ++i)
      EXPECT_TRUE(test::same_bits(some[i], i == only ? all[i] : Tensor())) << i << " where only " << only;
    for (int64_t i = 0; i < all[only].numel(); ++i)
      EXPECT_NEAR(twice[only].as<float>()[i], 2 * all[only].as<float>()[i], 1e-4) << only;
  }
}

// What a frozen or a raw input does not need is not computed, and what is wanted has the same bits; gradients add up.
TEST(Conv1d, LeavesOutWhatIsNotWanted) {
  for (const Case& c : {Case{2, 40, 6, 10, 3, {.stride = 2, .gelu_input = true}}, Case{2, 60, 1, 20, 10, {.stride = 5}},
                        Case{2, 20, 8, 12, 5, {.pad_left = 2, .pad_right = 2, .groups = 4}}})
    for (const Device device : {Device::cpu, Device::cuda})
      if (has_device(device)) check_wanted(c, device);
}

TEST(Conv1d, SaysWhatDoesNotFit) {
  const auto zero = [](Shape s) { return zeros(s, DType::f32); };
  EXPECT_ERROR(conv1d(zero({2, 9, 3}), zero({4, 2, 3}), {}, {}), Exit::failure,
               "conv1d: weight f32[4, 2, 3] [out, in / groups, kernel] in 1 groups, x is f32[2, 9, 3]");
  EXPECT_ERROR(conv1d(zero({2, 9, 4}), zero({5, 2, 3}), {}, {.groups = 2}), Exit::failure, "in 2 groups");
  EXPECT_ERROR(conv1d(zero({2, 9, 3}), zero({4, 3, 3}), zero({5}), {}), Exit::failure,
               "conv1d: bias is [5], weight [4, 3, 3]");
  EXPECT_ERROR(conv1d(zero({2, 2, 3}), zero({4, 3, 3}), {}, {}), Exit::failure,
               "conv1d: x [2, 2, 3] with pads of 0 and 0 is shorter than the kernel of weight [4, 3, 3]");
  EXPECT_ERROR(conv1d(zero({2, 9, 3}), zero({4, 3, 3}), {}, {.stride = 0}), Exit::failure, "conv1d: stride 0");
}

}  // namespace
}  // namespace hinoki::conv1d_test
