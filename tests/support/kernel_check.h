// What every kernel test asks: outputs near a reference written in double, untouched memory around every output, and
// the same bits again, on any number of threads and on AVX2 as on AVX-512.
#pragma once
#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "core/base/dtype.h"
#include "tests/support/guarded.h"

namespace hinoki::test {

using Values = std::vector<double>;

// Independent uniform values in [low, high), a function of the seed, rounded to float so that both precisions can start
// from the same numbers.
Values uniform(int64_t count, double low, double high, uint64_t seed);

// An array of a kernel, between guard bands. Reading it back expects the bands to be intact.
template <class T>
class Operand {
 public:
  explicit Operand(int64_t count, T start = T(77)) : count_(count), all_(count, start) {}
  template <class U>
  explicit Operand(const std::vector<U>& values) : Operand(int64_t(values.size())) {
    std::copy(values.begin(), values.end(), all_.begin());
  }

  T* data() { return all_.data(); }
  int64_t size() const { return count_; }
  Values values() {
    EXPECT_TRUE(all_.intact());
    return Values(all_.begin(), all_.end());
  }

 private:
  int64_t count_;
  Guarded<T> all_;
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
