#include "kernels/cache_append.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::cache_append_test {
namespace {

using namespace hinoki::test;

constexpr int64_t kBatch = 3, kHeads = 2, kLines = 4, kCapacity = 7;
const Values kPlaces{2, 0, 3}, kLengths{0, 4, 2};

// Packed as GPT-NeoX has it: [batch, time, heads, q k v, dim]. Returns keys, then values.
template <class T>
Values run(int64_t time, int64_t dim, const Values& qkv) {
  const auto from = [](float x) {
    if constexpr (sizeof(T) == 2)
      return to_bf16(x);
    else
      return x;
  };
  Operand<T> in(qkv);
  Operand<T> keys(kLines * kHeads * kCapacity * dim, from(77), Reads::yes);
  Operand<T> values(kLines * kHeads * kCapacity * dim, from(77), Reads::yes);
  Operand<int32_t> lines(kPlaces), lengths(kLengths);
  const int64_t row = kHeads * 3 * dim;
  cache_append.run(here(), {},
                   {.k = {in.data() + dim, time * row, row, 3 * dim},
                    .v = {in.data() + 2 * dim, time * row, row, 3 * dim},
                    .keys = keys.data(),
                    .values = values.data(),
                    .lines = lines.data(),
                    .lengths = lengths.data(),
                    .batch = kBatch,
                    .time = time,
                    .heads = kHeads,
                    .dim = dim,
                    .cache_lines = kLines,
                    .capacity = kCapacity,
                    .dtype = dtype_of<T>()});
  return keys.values() + values.values();
}

template <class T>
void check(int64_t time, int64_t dim) {
  Values qkv(size_t(kBatch * time * kHeads * 3 * dim));
  for (size_t i = 0; i < qkv.size(); ++i) qkv[i] = double(i % 127);
  Values expected(size_t(2 * kLines * kHeads * kCapacity * dim), 77);
  for (int64_t b = 0; b < kBatch; ++b)
    for (int64_t t = 0; t < time; ++t)
      for (int64_t h = 0; h < kHeads; ++h)
        for (int64_t which = 0; which < 2; ++which)
          for (int64_t d = 0; d < dim; ++d) {
            const int64_t line = which * kLines + int64_t(kPlaces[size_t(b)]), at = int64_t(kLengths[size_t(b)]) + t;
            expected[size_t(((line * kHeads + h) * kCapacity + at) * dim + d)] =
                qkv[size_t((((b * time + t) * kHeads + h) * 3 + 1 + which) * dim + d)];
          }
  if constexpr (sizeof(T) == 4) expect_kernel([&] { return run<T>(time, dim, qkv); }, expected, 0);
  expect_on_cuda([&] { return run<T>(time, dim, qkv); }, expected, 0);
}

TEST(CacheAppend, PutsEachRowBehindItsOwn) {
  for (const int64_t time : {1, 3})
    for (const int64_t dim : {1, 8, 20}) {
      check<float>(time, dim);
      check<bf16>(time, dim);
    }
}

TEST(CacheAppend, RefusesWhatDoesNotFit) {
  EXPECT_ERROR(run<float>(4, 8, Values(size_t(kBatch * 4 * kHeads * 24))), Exit::failure,
               "cache_append: row 1 goes behind 4 tokens of line 0, the cache has 4 lines of 7");
}

}  // namespace
}  // namespace hinoki::kernels::cache_append_test
