// What every kernel test asks: outputs near a reference written in double, untouched memory around every output, and
// the same bits again, on any number of threads and on AVX2 as on AVX-512.
#pragma once
#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "core/base/dtype.h"

namespace hinoki::test {

using Values = std::vector<double>;

// Independent uniform values in [low, high), a function of the seed, rounded to float so that both precisions can start
// from the same numbers.
Values uniform(int64_t count, double low, double high, uint64_t seed);

// `count` values between guard bands. Reading them back checks that the bands are intact.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t count, T start = T(77)) : all_(2 * kBand + count, kCanary) {
    std::fill(all_.begin() + kBand, all_.end() - kBand, start);
  }
  template <class U>
  explicit Guarded(const std::vector<U>& values) : Guarded(int64_t(values.size())) {
    std::copy(values.begin(), values.end(), all_.begin() + kBand);
  }

  T* data() { return all_.data() + kBand; }
  int64_t size() const { return int64_t(all_.size()) - 2 * kBand; }

  Values values() const {
    for (int64_t i = 0; i < kBand; ++i) {
      require(all_[i] == kCanary, "value ", i - kBand, " before an output was overwritten");
      require(all_[all_.size() - 1 - i] == kCanary, "a value after the end of an output was overwritten");
    }
    return Values(all_.begin() + kBand, all_.end() - kBand);
  }

 private:
  static constexpr int64_t kBand = 64;
  static constexpr T kCanary = T(123);
  std::vector<T> all_;
};

Values operator+(const Values& a, const Values& b);  // one after the other

// Runs `run` on every target this CPU has, repeatedly and on 1, 2 and 3 threads. Output i must be within tolerance[i]
// of expected[i] (equal counts; NaN equals NaN); see above for what must be bitwise the same.
void expect_kernel(const std::function<Values()>& run, const Values& expected, const Values& tolerance);

// The same tolerance for all outputs.
void expect_kernel(const std::function<Values()>& run, const Values& expected, double tolerance);

// Is `gradient` the derivative of the scalar function `f` at x? By central differences in double, one value at a time.
// `f` contracts its outputs with a random cotangent. The tolerance leaves room for the truncation of the difference,
// h^2 f''' / 6 with h = 1e-5, up to third derivatives of a few thousand, and for its rounding, 1e-16 |f| / h.
void expect_derivative(const std::function<double(const Values&)>& f, const Values& x, const Values& gradient,
                       double tolerance = 1e-6);

double dot(const Values& a, const Values& b);

template <class T>
constexpr double epsilon() {
  return std::numeric_limits<T>::epsilon();
}

}  // namespace hinoki::test
