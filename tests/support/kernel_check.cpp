#include "tests/support/kernel_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/base/isa.h"
#include "core/base/parallel.h"
#include "core/base/philox.h"

namespace hinoki::test {
namespace {

// First place where two outputs differ in their bits, or -1.
int64_t first_difference(const Values& a, const Values& b) {
  if (a.size() != b.size()) return 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], sizeof(double)) != 0 && !(std::isnan(a[i]) && std::isnan(b[i]))) return int64_t(i);
  return -1;
}

void expect_near(const Values& got, const Values& expected, const Values& tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  ASSERT_EQ(got.size(), tolerance.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const bool near = got[i] == expected[i] || std::abs(got[i] - expected[i]) <= tolerance[i] ||
                      (std::isnan(got[i]) && std::isnan(expected[i]));
    ASSERT_TRUE(near) << "output " << i << " is " << got[i] << ", expected " << expected[i] << " within "
                      << tolerance[i] << ", off by " << got[i] - expected[i];
  }
}

Device place = Device::cpu;

struct OnCuda {
  OnCuda() { place = Device::cuda; }
  ~OnCuda() { place = Device::cpu; }
};

struct RestoreTarget {
  Target before = active_target();
  ~RestoreTarget() { set_target(before); }
};

}  // namespace

Values uniform_values(int64_t count, double low, double high, uint64_t seed) {
  Values v(count);
  for (int64_t i = 0; i < count; ++i) v[i] = float(low + (high - low) * double(philox({.seed = seed}, i)[0]) * 0x1p-32);
  return v;
}

Values rounded_to_bf16(Values v) {
  for (double& x : v) x = to_float(to_bf16(float(x)));
  return v;
}

Device here() { return place; }

Values operator+(const Values& a, const Values& b) {
  Values both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

double dot(const Values& a, const Values& b) {
  require(a.size() == b.size(), "dot product of ", a.size(), " and ", b.size(), " values");
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void expect_kernel(const std::function<Values()>& run, const Values& expected, const Values& tolerance) {
  const RestoreTarget restore;
  std::vector<Values> of_target;
  for (const Target t : {Target::portable, Target::avx2, Target::avx512}) {
    if (t > best_target()) break;
    SCOPED_TRACE(name_of(t));
    set_target(t);
    of_target.push_back(run());
    expect_near(of_target.back(), expected, tolerance);
    for (const int threads : {1, 1, 2, 3}) {
      ThreadPool own(threads);
      const UsePool use(own);
      EXPECT_EQ(first_difference(of_target.back(), run()), -1) << threads << " threads change the bits";
    }
  }
  if (of_target.size() == 3) {
    const int64_t i = first_difference(of_target[1], of_target[2]);
    EXPECT_EQ(i, -1) << "AVX2 gives " << of_target[1][i] << ", AVX-512 " << of_target[2][i];
  }
}

void expect_kernel(const std::function<Values()>& run, const Values& expected, double tolerance) {
  expect_kernel(run, expected, Values(expected.size(), tolerance));
}

void expect_on_cuda(const std::function<Values()>& run, const Values& expected, const Values& tolerance) {
  if (!has_device(Device::cuda)) return;
  const OnCuda there;
  const Values once = run();
  SCOPED_TRACE("on CUDA");
  expect_near(once, expected, tolerance);
  for (int again = 0; again < 2; ++again)
    EXPECT_EQ(first_difference(once, run()), -1) << "another run gives other bits";
}

void expect_on_cuda(const std::function<Values()>& run, const Values& expected, double tolerance) {
  expect_on_cuda(run, expected, Values(expected.size(), tolerance));
}

void expect_derivative(const std::function<double(const Values&)>& f, const Values& x, const Values& gradient,
                       double tolerance) {
  ASSERT_EQ(x.size(), gradient.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double h = 1e-5 * std::max(1.0, std::abs(x[i]));
    Values moved = x;
    moved[i] = x[i] + h;
    const double above = f(moved);
    moved[i] = x[i] - h;
    const double slope = (above - f(moved)) / (2 * h);
    ASSERT_NEAR(gradient[i], slope, tolerance * std::max(1.0, std::abs(slope))) << "input " << i;
  }
}

}  // namespace hinoki::test
