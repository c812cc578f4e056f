#include <gtest/gtest.h>

#include <cmath>

#include "core/base/device.h"
#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"
#include "tests/support/reference_attention.h"

namespace hinoki::attention_test {
namespace {

using test::Inputs;
using test::uniform;

struct Case {
  int64_t batch, time, heads, dim;
  QkvLayout layout;
  int64_t document = 0;  // length of each segment; 0: one
  double dropout = 0;
  double scale = 0;
  bool causal = true;
};

AttentionOptions options(const Case& c, Device device = Device::cpu) {
  AttentionOptions o{.heads = c.heads,
                     .layout = c.layout,
                     .scale = c.scale,
                     .dropout = c.dropout,
                     .key = {.seed = 3, .site = 9},
                     .first_row = 4,
                     .causal = c.causal};
  if (c.document) {
    o.segments = zeros({c.batch, c.time}, DType::i32);
    for (int64_t i = 0; i < c.batch * c.time; ++i) o.segments.as<int32_t>()[i] = int32_t(i % c.time / c.document);
    o.segments = to_device(o.segments, device);
  }
  return o;
}

// Index of (batch, time, q k v, head, element) in qkv.
int64_t place(const Case& c, int64_t b, int64_t t, int64_t part, int64_t h, int64_t d) {
  const int64_t in_row =
      c.layout == QkvLayout::per_head ? (h * 3 + part) * c.dim + d : (part * c.heads + h) * c.dim + d;
  return (b * c.time + t) * 3 * c.heads * c.dim + in_row;
}

Inputs reference(const Case& c, const Tensor& qkv) {
  Tensor out = empty({c.batch, c.time, c.heads * c.dim}, DType::f64);
  const AttentionOptions o = options(c);
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t h = 0; h < c.heads; ++h) {
      ReferenceHead r{.q_time = c.time,
                      .kv_time = c.time,
                      .dim = c.dim,
                      .scale = c.scale ? c.scale : 1 / std::sqrt(double(c.dim)),
                      .causal = c.causal};
      for (int64_t t = 0; t < c.time; ++t) {
        for (int64_t d = 0; d < c.dim; ++d) {
          r.q.push_back(qkv.as<double>()[place(c, b, t, 0, h, d)]);
          r.k.push_back(qkv.as<double>()[place(c, b, t, 1, h, d)]);
          r.v.push_back(qkv.as<double>()[place(c, b, t, 2, h, d)]);
        }
        if (c.document) r.segments.push_back(int32_t(t / c.document));
        for (int64_t j = 0; c.dropout > 0 && j < c.time; ++j) {
          const int64_t row = ((o.first_row + b) * c.heads + h) * c.time + t;
          const uint32_t bits = philox(o.key, row * ((c.time + 3) / 4) + j / 4)[j % 4];
          r.factors.push_back(bits >= uint32_t(c.dropout * 0x1p32) ? 1 / (1 - c.dropout) : 0);
        }
      }
      r.forward();
      for (int64_t t = 0; t < c.time; ++t)
        std::copy_n(&r.out[t * c.dim], c.dim, out.as<double>() + (b * c.time + t) * c.heads * c.dim + h * c.dim);
    }
  return {out};
}

Tensor projection(const Case& c, DType dtype = DType::f64) {
  return uniform({c.batch, c.time, 3 * c.heads * c.dim}, -1.5, 1.5, 1, dtype);
}

class AttentionCases : public testing::TestWithParam<Case> {};

TEST_P(AttentionCases, IsItsFormulasAndTheirDerivatives) {
  const Case c = GetParam();
  test::check_op({.inputs = {projection(c)},
                  .run = [c](const Inputs& in) { return Inputs{attention(in[0], options(c, in[0].device()))}; },
                  .reference = [c](const Inputs& in) { return reference(c, in[0]); }},
                 std::max(c.time, c.dim));
}

// On the CPU the projection behind attention reads what it gave out as it is made again, and so does its own gradient.
TEST_P(AttentionCases, WhatItGaveOutIsMadeAgainBitForBit) {
  const Case c = GetParam();
  for (const Device device : {Device::cpu, Device::cuda})
    for (const DType dtype : {DType::f32, DType::f64}) {
      if (device == Device::cuda && (!has_device(device) || dtype == DType::f64)) continue;
      const Tensor qkv = make_leaf(to_device(projection(c, dtype), device));
      const Tensor out = attention(qkv, options(c, device));
      ASSERT_EQ(out.remake() != nullptr, device == Device::cpu);
      if (!out.remake()) continue;
      const Tensor again = (*out.remake())();
      EXPECT_TRUE(test::same_bits(again, out)) << dtype;
      const NoGrad no_grad;
      EXPECT_FALSE(attention(qkv, options(c, device)).remake()) << "nobody keeps qkv";
    }
}

INSTANTIATE_TEST_SUITE_P(
    Edges, AttentionCases,
    testing::Values(Case{1, 1, 1, 4, QkvLayout::per_head}, Case{2, 5, 2, 8, QkvLayout::blocks},
                    Case{1, 33, 2, 16, QkvLayout::per_head, 10}, Case{1, 31, 1, 33, QkvLayout::blocks, 0, 0.3},
                    Case{1, 130, 2, 12, QkvLayout::blocks, 0, 0, 0.5}, Case{2, 140, 1, 8, QkvLayout::per_head, 50, 0.1},
                    Case{0, 7, 1, 8, QkvLayout::per_head}, Case{1, 1, 1, 4, QkvLayout::blocks, 0, 0, 0, false},
                    Case{2, 33, 2, 8, QkvLayout::blocks, 20, 0, 0, false},
                    Case{1, 130, 1, 12, QkvLayout::per_head, 0, 0.1, 0, false}));

TEST(Attention, SaysWhatDoesNotFit) {
  EXPECT_ERROR(attention(zeros({2, 3, 25}, DType::f32), {.heads = 2}), Exit::failure, "attention: qkv [2, 3, 25]");
  EXPECT_ERROR(attention(zeros({2, 3, 24}, DType::f32), {.heads = 2, .segments = zeros({2, 4}, DType::i32)}),
               Exit::failure, "attention: segments [2, 4]");
}

}  // namespace
}  // namespace hinoki::attention_test
