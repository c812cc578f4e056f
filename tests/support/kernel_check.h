// What every kernel test asks: outputs near a reference written in double, untouched memory around every output, and
// the same bits again, on any number of threads, on AVX2 as on AVX-512, and in any order of a GPU's threads.
#pragma once
#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/base/device.h"
#include "core/base/half.h"
#include "core/storage.h"
#include "tests/support/guarded.h"

namespace hinoki::test {

using Values = std::vector<double>;

// Independent uniform values in [low, high), a function of the seed, rounded to float so that both precisions can start
// from the same numbers.
Values uniform_values(int64_t count, double low, double high, uint64_t seed);

// The same rounded to bf16, for tests whose arrays are kept in it.
Values rounded_to_bf16(Values v);

// The device that the kernel under test runs on: the CPU, but for what `expect_on_cuda` runs.
Device here();

// Does the kernel read an array before it has written it? If not, an emulator faults where it does all the same.
enum class Reads { no, yes };
inline Reads reads_if(bool accumulates) { return accumulates ? Reads::yes : Reads::no; }

// An array of a kernel, on the device of here(), between guard bands. Reading it back expects the bands to be intact.
template <class T>
class Operand {
 public:
  // An output, which holds `start` where the kernel leaves it alone.
  explicit Operand(int64_t count, T start = T(77), Reads reads = Reads::no)
      : count_(count), all_(count, start), reads_(reads) {}
  // An input, perhaps an output as well.
  template <class U>
  explicit Operand(const std::vector<U>& values, Reads reads = Reads::yes)
      : Operand(int64_t(values.size()), T(77), reads) {
    std::transform(values.begin(), values.end(), all_.begin(), [](const U& v) { return from<U>(v); });
  }

  T* data() {
    if (here() == Device::cpu) return all_.data();
    if (!on_device_) move(true);
    return reinterpret_cast<T*>(static_cast<char*>(on_device_->data()) + skipped_bytes());
  }
  int64_t size() const { return count_; }
  Values values() {
    if (on_device_) move(false);
    EXPECT_TRUE(all_.intact());
    Values v(count_);
    for (int64_t i = 0; i < count_; ++i)
      if constexpr (std::is_same_v<T, bf16>)
        v[i] = to_float(all_.begin()[i]);
      else
        v[i] = double(all_.begin()[i]);
    return v;
  }

 private:
  template <class U>
  static T from(const U& v) {
    if constexpr (std::is_same_v<T, bf16> && !std::is_same_v<U, bf16>)
      return to_bf16(float(v));
    else
      return T(v);
  }
  // An emulator checks bounds itself, to the byte: it gets no bands.
  bool with_bands() const { return !cuda_device->every_block_its_own; }
  size_t skipped_bytes() const { return with_bands() ? Guarded<T>::kGuard * sizeof(T) : 0; }

  void move(bool there) {
    const size_t bytes = size_t(count_) * sizeof(T) + 2 * skipped_bytes();
    char* host = reinterpret_cast<char*>(with_bands() ? all_.with_bands().data() : all_.data());
    if (there) on_device_ = Storage::allocate(bytes, Device::cuda, sizeof(T));
    if (there)
      copy_bytes(on_device_->data(), Device::cuda, host, Device::cpu, bytes);
    else
      copy_bytes(host, Device::cpu, on_device_->data(), Device::cuda, bytes);
    if (there && reads_ == Reads::no && cuda_device->forget != nullptr) cuda_device->forget(on_device_->data());
  }

  int64_t count_;
  Guarded<T> all_;
  Reads reads_;
  std::shared_ptr<Storage> on_device_;
};

Values operator+(const Values& a, const Values& b);  // one after the other

// Runs `run` on every target this CPU has, repeatedly and on 1, 2 and 3 threads. Output i must be within tolerance[i]
// of expected[i] (equal counts; NaN equals NaN); see above for what must be bitwise the same.
void expect_kernel(const std::function<Values()>& run, const Values& expected, const Values& tolerance);

// The same tolerance for all outputs.
void expect_kernel(const std::function<Values()>& run, const Values& expected, double tolerance);

// Runs `run` repeatedly on the CUDA device or its emulator (there in other orders of threads and blocks each time),
// where the build has one: within tolerance of expected, and the same bits each time.
void expect_on_cuda(const std::function<Values()>& run, const Values& expected, const Values& tolerance);
void expect_on_cuda(const std::function<Values()>& run, const Values& expected, double tolerance);

// Both, for kernels of f32.
template <class Tolerance>
void expect_everywhere(const std::function<Values()>& run, const Values& expected, const Tolerance& tolerance) {
  expect_kernel(run, expected, tolerance);
  expect_on_cuda(run, expected, tolerance);
}

// Is `gradient` the derivative of the scalar function `f` at x? By central differences in double, one value at a time.
// `f` contracts its outputs with a random cotangent. The tolerance leaves room for the truncation of the difference,
// h^2 f''' / 6 with h = 1e-5, up to third derivatives of a few thousand, and for its rounding, 1e-16 |f| / h.
void expect_derivative(const std::function<double(const Values&)>& f, const Values& x, const Values& gradient,
                       double tolerance = 1e-6);

double dot(const Values& a, const Values& b);

template <class T>
constexpr double epsilon() {
  if constexpr (std::is_same_v<T, bf16>)
    return 0x1p-7;
  else
    return std::numeric_limits<T>::epsilon();
}

}  // namespace hinoki::test
