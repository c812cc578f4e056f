#include "kernels/tree_sum.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::tree_sum_test {
namespace {

using namespace hinoki::test;

template <class T>
Values run(const std::vector<Values>& terms, bool in_place) {
  std::vector<Operand<T>> in(terms.begin(), terms.end());
  Operand<T> apart(int64_t(terms[0].size()));
  Operand<T>& y = in_place ? in.back() : apart;
  TreeSum k{.x = {}, .terms = int(terms.size()), .y = y.data(), .count = y.size(), .dtype = dtype_of<T>()};
  for (size_t n = 0; n < terms.size(); ++n) k.x[n] = in[n].data();
  tree_sum.run(here(), {}, k);
  return y.values();
}

// What float arithmetic gives in the order of the tree: to the last bit on every target.
template <class T>
double tree(const std::vector<Values>& terms, size_t begin, size_t n, int64_t i) {
  if (n == 1) return terms[begin][i];
  return double(T(tree<T>(terms, begin, n / 2, i)) + T(tree<T>(terms, begin + n / 2, n / 2, i)));
}

TEST(TreeSum, AddsInTheOrderOfABalancedTree) {
  for (const int64_t count : {0, 1, 31, 32, 33, 1000, 4099, 40000})
    for (const int terms : {1, 2, 4, 8})
      for (const bool in_place : {false, true}) {
        std::vector<Values> x;
        for (int n = 0; n < terms; ++n) x.push_back(uniform_values(count, -1, 1, uint64_t(n) + 1));
        Values expected_float, expected_double;
        for (int64_t i = 0; i < count; ++i) {
          expected_float.push_back(tree<float>(x, 0, x.size(), i));
          expected_double.push_back(tree<double>(x, 0, x.size(), i));
        }
        expect_everywhere([&] { return run<float>(x, in_place); }, expected_float, 0.0);
        expect_kernel([&] { return run<double>(x, in_place); }, expected_double, 0.0);
      }
}

// In bf16 the sum is made in f32 and rounded once.
TEST(TreeSum, RoundsBf16Once) {
  std::vector<Values> x;
  for (uint64_t n = 0; n < 4; ++n) x.push_back(rounded_to_bf16(uniform_values(1000, -1, 1, n + 1)));
  Values expected, tolerance;
  for (int64_t i = 0; i < 1000; ++i) {
    expected.push_back(x[0][i] + x[1][i] + x[2][i] + x[3][i]);
    tolerance.push_back(epsilon<bf16>() * 4);
  }
  expect_on_cuda([&] { return run<bf16>(x, false); }, expected, tolerance);
}

TEST(TreeSum, RefusesOtherNumbersOfTerms) {
  float x = 1, y = 0;
  EXPECT_ERROR(tree_sum.run(Device::cpu, {}, {.x = {&x, &x, &x}, .terms = 3, .y = &y, .count = 1, .dtype = DType::f32}),
               Exit::failure, "3 terms");
}

}  // namespace
}  // namespace hinoki::kernels::tree_sum_test
