#include "tests/support/op_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/device.h"
#include "core/base/half.h"
#include "core/base/isa.h"
#include "core/base/parallel.h"
#include "core/base/philox.h"

namespace hinoki::test {
namespace {

bool is_float(const Tensor& x) { return x.dtype() != DType::i32; }

Inputs copies(const Inputs& inputs, DType dtype, Device device = Device::cpu) {
  Inputs fresh;
  for (const Tensor& x : inputs) fresh.push_back(x.defined() ? to_device(to(x, dtype), device) : x);
  return fresh;
}

Inputs leaves(const Inputs& inputs, DType dtype, Device device) {
  Inputs made = copies(inputs, dtype, device);
  for (Tensor& x : made)
    if (x.defined() && is_float(x)) x = make_leaf(x);
  return made;
}

std::vector<Tensor> cotangents(const std::vector<Tensor>& ys) {
  std::vector<Tensor> v;
  for (size_t i = 0; i < ys.size(); ++i)
    v.push_back(to_device(to(coarse(uniform(ys[i].shape(), -1, 1, 77 + i)), ys[i].dtype()), ys[i].device()));
  return v;
}

struct Result {
  std::vector<Tensor> ys, grads;  // on the CPU
};

Result run(const OpCase& op, DType dtype, Device device = Device::cpu) {
  const Inputs inputs = leaves(op.inputs, dtype, device);
  Result r{op.run(inputs), {}};
  if (std::any_of(r.ys.begin(), r.ys.end(), [](const Tensor& y) { return y.needs_grad(); }))
    backward(r.ys, cotangents(r.ys));
  for (Tensor& y : r.ys) y = to_device(y.detach(), Device::cpu);
  for (const Tensor& x : inputs) r.grads.push_back(x.defined() ? to_device(x.grad(), Device::cpu) : Tensor());
  return r;
}

double inner(const std::vector<Tensor>& ys) {
  const std::vector<Tensor> v = cotangents(ys);
  double total = 0;
  for (size_t i = 0; i < ys.size(); ++i) {
    const auto a = values(ys[i]), b = values(v[i]);
    for (size_t j = 0; j < a.size(); ++j) total += a[j] * b[j];
  }
  return total;
}

double largest(const std::vector<double>& x) {
  double m = 0;
  for (const double v : x) m = std::max(m, std::abs(v));
  return m;
}

// Compares with a bound of `eps` * sqrt-ish growth of a sum of `length` terms, relative to the largest value.
void expect_close(const Tensor& got, const Tensor& want, double eps, int64_t length, const std::string& what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const auto a = values(got), b = values(want);
  const double bound = eps * (16 + 4 * std::sqrt(double(length))) * std::max(largest(b), 1e-30);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], bound) << what << ", element " << i << " of " << got.shape();
}

void expect_same(const Result& a, const Result& b, const std::string& what) {
  for (size_t i = 0; i < a.ys.size(); ++i) EXPECT_TRUE(same_bits(a.ys[i], b.ys[i])) << what << ": output " << i;
  for (size_t i = 0; i < a.grads.size(); ++i)
    EXPECT_TRUE(same_bits(a.grads[i], b.grads[i])) << what << ": gradient of input " << i;
}

void check_values(const OpCase& op, int64_t length, const std::string& where) {
  const Result f64 = run(op, DType::f64), f32 = run(op, DType::f32);
  constexpr double eps32 = std::numeric_limits<float>::epsilon(), eps64 = std::numeric_limits<double>::epsilon();
  if (op.reference) {
    const std::vector<Tensor> want = op.reference(copies(op.inputs, DType::f64));
    ASSERT_EQ(want.size(), f64.ys.size());
    for (size_t i = 0; i < want.size(); ++i) expect_close(f64.ys[i], want[i], eps64 * 8, length, where + "f64 forward");
  }
  for (size_t i = 0; i < f32.ys.size(); ++i) expect_close(f32.ys[i], f64.ys[i], eps32, length, where + "f32 forward");
  for (size_t i = 0; i < f32.grads.size(); ++i) {
    ASSERT_EQ(f32.grads[i].defined(), f64.grads[i].defined());
    if (f32.grads[i].defined())
      expect_close(f32.grads[i], f64.grads[i], 4 * eps32, length,
                   say(where, "f32 gradient of input ", i, " against f64"));
  }
}

// On the CUDA device in both its precisions, against f64 on the CPU from the same inputs, which bf16 holds exactly.
// What an op stores in bf16 on the way adds a rounding error of 2^-9 each.
void check_on_cuda(OpCase op, int64_t length) {
  for (Tensor& x : op.inputs)
    if (x.defined()) x = coarse(x);
  const Result exact = run(op, DType::f64);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    SCOPED_TRACE(say(dtype, " on CUDA"));
    const Result there = run(op, dtype, Device::cuda);
    const double eps = dtype == DType::f32 ? std::numeric_limits<float>::epsilon() : 0x1p-9;
    const int64_t terms = dtype == DType::f32 ? length : 0;  // sums are f32 in either
    for (size_t i = 0; i < exact.ys.size(); ++i) expect_close(there.ys[i], exact.ys[i], eps, terms, "forward");
    for (size_t i = 0; i < exact.grads.size(); ++i) {
      ASSERT_EQ(there.grads[i].defined(), exact.grads[i].defined());
      if (exact.grads[i].defined())
        expect_close(there.grads[i], exact.grads[i], 4 * eps, terms, say("gradient of input ", i));
    }
    expect_same(there, run(op, dtype, Device::cuda), "second run");
  }
}

}  // namespace

double worst_gradient_error(const OpCase& op, int probes) {
  const Result exact = run(op, DType::f64);
  double worst = 0;
  for (size_t i = 0; i < op.inputs.size(); ++i) {
    if (!exact.grads[i].defined()) continue;
    const std::vector<double> grad = values(exact.grads[i]);
    const double size = std::max(largest(grad), 1e-8);
    const int64_t n = int64_t(grad.size()), stride = std::max<int64_t>(1, n / probes);
    for (int64_t e = 0; e < n; e += stride) {
      const double h = 1e-5;
      const auto shifted = [&](double by) {
        const NoGrad no_grad;
        Inputs inputs = copies(op.inputs, DType::f64);
        inputs[i].as<double>()[e] += by;
        return inner(op.run(inputs));
      };
      worst = std::max(worst, std::abs((shifted(h) - shifted(-h)) / (2 * h) - grad[e]) / size);
    }
  }
  return worst;
}

void check_op(const OpCase& op, int64_t length) {
  set_guard_bands(true);
  const int64_t broken = broken_guard_bands();
  // h = 1e-5 leaves h^2 = 1e-10 of curvature and eps / h = 1e-11 of rounding, times the size of the sums.
  EXPECT_LT(worst_gradient_error(op), 2e-6);
  for (int t = 0; t <= int(best_target()); ++t) {
    set_target(Target(t));
    check_values(op, length, say(name_of(Target(t)), " "));
  }
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Result once = run(op, dtype);
    expect_same(once, run(op, dtype), "second run");
    for (const int threads : {1, 2, 3}) {
      ThreadPool own(threads);
      const UsePool use(own);
      expect_same(once, run(op, dtype), say(threads, " threads"));
    }
  }
  if (has_device(Device::cuda)) check_on_cuda(op, length);
  EXPECT_EQ(broken_guard_bands(), broken) << "a kernel wrote outside its output";
  set_guard_bands(false);
}

Tensor uniform(const Shape& shape, double low, double high, uint64_t seed, DType dtype) {
  Tensor t = empty(shape, DType::f64);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.as<double>()[i] = low + (high - low) * unit_float(philox({.seed = seed}, i)[0]);
  return to(t, dtype);
}

Tensor integers(const Shape& shape, int64_t low, int64_t high, uint64_t seed) {
  Tensor t = empty(shape, DType::i32);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.as<int32_t>()[i] = int32_t(low + philox({.seed = seed}, i)[0] % uint64_t(high - low));
  return t;
}

Tensor to(const Tensor& x, DType dtype) {
  Tensor y = empty(x.shape(), is_float(x) ? dtype : x.dtype());
  if (x.dtype() == y.dtype()) {
    copy_elements(x, y);
  } else {
    const auto v = values(x);
    if (dtype == DType::bf16)
      std::transform(v.begin(), v.end(), y.as<bf16>(), [](double e) { return to_bf16(float(e)); });
    else
      visit_float(dtype, [&]<class T>() { std::copy(v.begin(), v.end(), y.as<T>()); });
  }
  return y;
}

Tensor coarse(const Tensor& x) { return is_float(x) ? to(to(x, DType::bf16), x.dtype()) : x; }

std::vector<double> values(const Tensor& x) {
  require(x.contiguous(), "values: not contiguous");
  if (x.dtype() == DType::i32) return {x.as<int32_t>(), x.as<int32_t>() + x.numel()};
  if (x.dtype() == DType::bf16) {
    std::vector<double> wide;
    for (int64_t i = 0; i < x.numel(); ++i) wide.push_back(to_float(x.as<bf16>()[i]));
    return wide;
  }
  return visit_float(x.dtype(), [&]<class T>() { return std::vector<double>(x.as<T>(), x.as<T>() + x.numel()); });
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return false;
  return !a.defined() || (a.shape() == b.shape() && a.dtype() == b.dtype() &&
                          std::memcmp(a.data(), b.data(), size_t(a.numel()) * size_of(a.dtype())) == 0);
}

}  // namespace hinoki::test
