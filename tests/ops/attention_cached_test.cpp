#include <gtest/gtest.h>

#include <cmath>

#include "core/base/device.h"
#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::attention_cached_test {
namespace {

struct Case {
  int64_t batch, time, heads, dim;
  QkvLayout layout;
};

Tensor projection(const Case& c, DType dtype) {
  return test::uniform({c.batch, c.time, 3 * c.heads * c.dim}, -1.5, 1.5, 1, dtype);
}

KeyValueCache cache_of(int64_t lines, int64_t capacity, const Case& c, DType dtype = DType::f32) {
  const KeyValueCache cache = make_cache(lines, capacity, c.heads, c.dim, zeros({1}, dtype));
  for (const Tensor& t : {cache.keys, cache.values})  // what nobody has written must not matter
    for (int64_t i = 0; dtype == DType::f32 && i < t.numel(); ++i) t.as<float>()[i] = NAN;
  return cache;
}

// Token by token, and in pieces of other sizes, with a cache: the bits of the whole sequence at once.
TEST(AttentionCached, GivesTheBitsOfTheWholePass) {
  for (const QkvLayout layout : {QkvLayout::per_head, QkvLayout::blocks})
    for (const std::vector<int64_t>& pieces : {std::vector<int64_t>(150, 1), {100, 1, 1, 40, 8}}) {
      const Case c{2, 150, 3, 20, layout};
      const Tensor qkv = projection(c, DType::f32), whole = attention(qkv, {.heads = c.heads, .layout = c.layout});
      const KeyValueCache cache = cache_of(4, 160, c);
      int32_t t = 0;
      for (const int64_t n : pieces) {
        const Tensor some = attention_cached(contiguous(slice(qkv, 1, t, t + n)), cache,
                                             CacheRows({3, 1}, {t, t}, n, Device::cpu),
                                             {.heads = c.heads, .layout = layout});
        ASSERT_TRUE(test::same_bits(some, contiguous(slice(whole, 1, t, t + n)))) << n << " tokens from " << t;
        t += int32_t(n);
      }
      EXPECT_EQ(t, c.time);
    }
}

// Sequences of different lengths in one batch, in any lines of the cache: each has the bits it has alone.
TEST(AttentionCached, RowsOfAnyLengthsDoNotMatterToEachOther) {
  for (const int64_t dim : {4, 17, 64, 72})
    for (const DType dtype : {DType::f32, DType::f64}) {
      const std::vector<int32_t> lengths{0, 5, 127, 128, 129, 300}, lines{4, 0, 6, 2, 1, 5};
      const Case c{6, 301, 2, dim, QkvLayout::per_head};
      const Tensor qkv = projection(c, dtype), whole = attention(qkv, {.heads = c.heads, .layout = c.layout});
      const KeyValueCache cache = cache_of(7, 301, c, dtype);
      const Tensor last = empty({6, 1, qkv.size(2)}, dtype);
      for (int32_t b = 0; b < 6; ++b) {
        const auto row = [&](const Tensor& x, int64_t t, int64_t n) {
          return contiguous(slice(slice(x, 0, b, b + 1), 1, t, t + n));
        };
        const int64_t n = lengths[b];
        if (n > 0)
          attention_cached(row(qkv, 0, n), cache, CacheRows({lines[b]}, {0}, n, Device::cpu), {.heads = 2});
        copy_elements(row(qkv, n, 1), last.narrow(0, b, 1));
      }
      const Tensor out = attention_cached(last, cache, CacheRows(lines, lengths, 1, Device::cpu), {.heads = 2});
      for (int32_t b = 0; b < 6; ++b)
        EXPECT_TRUE(test::same_bits(contiguous(slice(out, 0, b, b + 1)),
                                    contiguous(slice(slice(whole, 0, b, b + 1), 1, lengths[b], lengths[b] + 1))))
            << "row " << b << ", dim " << dim << ", " << dtype;
    }
}

// The same on a GPU or its emulator, beside the CPU.
TEST(AttentionCached, ContinuesOnCuda) {
  if (!has_device(Device::cuda)) return;
  for (const int64_t dim : {8, 12}) {  // 12: rows that are no whole vectors
    const Case c{3, 9, 2, dim, QkvLayout::per_head};
    const auto run = [&](Device device, const std::vector<int>& rows) {
      const Tensor qkv = projection(c, DType::f32);
      const KeyValueCache cache{zeros({4, 2, 10, dim}, DType::f32, device), zeros({4, 2, 10, dim}, DType::f32, device)};
      const std::vector<int32_t> lengths{0, 3, 8};
      std::vector<Tensor> results;
      std::vector<int32_t> lines, behind;
      const Tensor last = empty({int64_t(rows.size()), 1, qkv.size(2)}, DType::f32);
      for (size_t i = 0; i < rows.size(); ++i) {
        const int b = rows[i];
        const Tensor mine = contiguous(slice(qkv, 0, b, b + 1));
        lines.push_back(3 - b);
        behind.push_back(lengths[size_t(b)]);
        if (behind[i] > 0)
          attention_cached(to_device(contiguous(slice(mine, 1, 0, behind[i])), device), cache,
                           CacheRows({lines[i]}, {0}, behind[i], device), {.heads = 2});
        copy_elements(contiguous(slice(mine, 1, behind[i], behind[i] + 1)), last.narrow(0, int64_t(i), 1));
      }
      return to_device(attention_cached(to_device(last, device), cache,
                                        CacheRows(lines, behind, 1, device), {.heads = 2}),
                       Device::cpu);
    };
    const Tensor cpu = run(Device::cpu, {0, 1, 2}), cuda = run(Device::cuda, {0, 1, 2});
    for (int64_t i = 0; i < cpu.numel(); ++i) EXPECT_NEAR(cuda.as<float>()[i], cpu.as<float>()[i], 1e-5) << i;
    EXPECT_TRUE(test::same_bits(run(Device::cuda, {2}), contiguous(slice(cuda, 0, 2, 3)))) << "alone";
  }
}

TEST(AttentionCached, SaysWhatDoesNotFit) {
  const KeyValueCache cache{zeros({2, 2, 4, 4}, DType::f32), zeros({2, 2, 4, 4}, DType::f32)};
  const auto rows = [](std::vector<int32_t> lines, int64_t time) {
    std::vector<int32_t> lengths(lines.size(), 2);
    return CacheRows(std::move(lines), std::move(lengths), time, Device::cpu);
  };
  const AttentionOptions two{.heads = 2};
  EXPECT_ERROR(attention_cached(zeros({2, 1, 24}, DType::f32), cache, rows({0, 1}, 1), {.heads = 2, .causal = false}),
               Exit::failure, "attention_cached: causal attention alone");
  EXPECT_ERROR(attention_cached(zeros({2, 3, 24}, DType::f32), cache, rows({0, 1}, 3), two), Exit::failure,
               "2 tokens of line 0 and 3 more do not fit into a cache of 2 lines of 4");
  EXPECT_ERROR(attention_cached(zeros({1, 1, 24}, DType::f32), cache, rows({2}, 1), two), Exit::failure,
               "2 tokens of line 2 and 1 more do not fit");
  EXPECT_ERROR(attention_cached(zeros({1, 1, 24}, DType::f32), cache, rows({0, 1}, 1), two), Exit::failure,
               "for 2 rows of 1 tokens");
  EXPECT_ERROR(attention_cached(zeros({1, 1, 48}, DType::f32), cache, rows({0}, 1), two), Exit::failure,
               "the cache holds f32[2, 2, 4, 4]");
}

}  // namespace
}  // namespace hinoki::attention_cached_test
