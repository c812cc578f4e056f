#include "kernels/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::adamw_test {
namespace {

using namespace hinoki::test;

const AdamW kSettings{.weight = nullptr,
                      .gradient = nullptr,
                      .m = nullptr,
                      .v = nullptr,
                      .count = 0,
                      .lr = 0.01,
                      .beta1 = 0.9,
                      .beta2 = 0.95,
                      .eps = 1e-8,
                      .weight_decay = 0.1,
                      .gradient_scale = 0.25,
                      .step = 1,
                      .dtype = DType::f32};

struct State {
  Values weight, m, v;
  Values all() const { return weight + m + v; }
};

Values gradient(int64_t n, int64_t step) { return uniform_values(n, -1, 1, 100 + uint64_t(step)); }

State start(int64_t n) { return {uniform_values(n, -1, 1, 1), Values(n, 0.0), Values(n, 0.0)}; }

using Decays = std::function<bool(int64_t)>;  // of an element
bool always(int64_t) { return true; }
bool by_runs(int64_t i) { return i / kDecayRun % 3 != 0 && i / kDecayWord != 1; }

std::vector<uint32_t> bits_of(const Decays& decays, int64_t n) {
  std::vector<uint32_t> words(size_t((n + kDecayWord - 1) / kDecayWord), 0);
  for (int64_t i = 0; i < n; ++i) words[size_t(i / kDecayWord)] |= uint32_t(decays(i)) << i / kDecayRun % 32;
  return words;
}

// The update as the paper writes it.
State reference(State s, int64_t steps, const Decays& decays = always) {
  const AdamW& k = kSettings;
  for (int64_t t = 1; t <= steps; ++t) {
    const Values g = gradient(int64_t(s.weight.size()), t);
    for (size_t i = 0; i < g.size(); ++i) {
      const double d = k.gradient_scale * g[i];
      if (decays(int64_t(i))) s.weight[i] *= 1 - k.lr * k.weight_decay;
      s.m[i] = k.beta1 * s.m[i] + (1 - k.beta1) * d;
      s.v[i] = k.beta2 * s.v[i] + (1 - k.beta2) * d * d;
      const double m = s.m[i] / (1 - std::pow(k.beta1, double(t))), v = s.v[i] / (1 - std::pow(k.beta2, double(t)));
      s.weight[i] -= k.lr * m / (std::sqrt(v) + k.eps);
    }
  }
  return s;
}

template <class T>
Values run(const State& s, int64_t steps) {
  Operand<T> weight(s.weight), m(s.m), v(s.v);
  for (int64_t t = 1; t <= steps; ++t) {
    Operand<T> g(gradient(weight.size(), t));
    AdamW k = kSettings;
    k.weight = weight.data();
    k.gradient = g.data();
    k.m = m.data();
    k.v = v.data();
    k.count = weight.size();
    k.step = t;
    k.dtype = dtype_of<T>();
    adamw.run(here(), {}, k);
  }
  return weight.values() + m.values() + v.values();
}

TEST(AdamWKernel, TakesThePapersSteps) {
  for (const int64_t n : {0, 1, 31, 32, 33, 1000, 4099, 40000}) {
    const State s = start(n);
    const int64_t steps = n > 1000 ? 1 : 10;
    // Weights and moments below 1, a few roundings in each step.
    expect_everywhere([&] { return run<float>(s, steps); }, reference(s, steps).all(),
                      4 * double(steps) * epsilon<float>());
    expect_kernel([&] { return run<double>(s, steps); }, reference(s, steps).all(),
                  4 * double(steps) * epsilon<double>());
  }
}

// From `skip` elements behind an aligned address on; beside the weight, its copy.
Values run_with_copy(const State& s, int64_t skip) {
  const int64_t n = int64_t(s.weight.size());
  Operand<float> weight(Values(skip, 0.0) + s.weight), m(Values(skip, 0.0) + s.m), v(Values(skip, 0.0) + s.v),
      g(Values(skip, 0.0) + gradient(n, 1));
  Operand<bf16> copy(skip + n, bf16{0});
  AdamW k = kSettings;
  k.weight = weight.data() + skip;
  k.gradient = g.data() + skip;
  k.m = m.data() + skip;
  k.v = v.data() + skip;
  k.count = n;
  k.copy = copy.data() + skip;
  adamw.run(here(), {}, k);
  return weight.values() + copy.values();
}

TEST(AdamWKernel, RoundsACopyToBf16) {
  for (const int64_t skip : {0, 1, 2, 4})
    for (const int64_t n : {1, 3, 33, 1030}) {
      const State s = start(n);
      const auto copy_is_rounded = [&]() -> Values {
        const Values both = run_with_copy(s, skip), weight(both.begin(), both.begin() + skip + n);
        EXPECT_EQ(Values(both.begin() + skip + n, both.end()), rounded_to_bf16(weight));
        return Values(weight.begin() + skip, weight.end());
      };
      expect_everywhere(copy_is_rounded, reference(s, 1).weight, 4 * epsilon<float>());
    }
}

// From `skip` elements behind an aligned address on; the bits count from there.
template <class T>
Values run_with_bits(const State& s, int64_t skip) {
  const int64_t n = int64_t(s.weight.size());
  const Values before(size_t(skip), 0.0);
  Operand<T> weight(before + s.weight), m(before + s.m), v(before + s.v), g(before + gradient(n, 1));
  Operand<uint32_t> bits(bits_of(by_runs, n));
  AdamW k = kSettings;
  k.weight = weight.data() + skip;
  k.gradient = g.data() + skip;
  k.m = m.data() + skip;
  k.v = v.data() + skip;
  k.count = n;
  k.dtype = dtype_of<T>();
  k.decays = bits.data();
  adamw.run(here(), {}, k);
  const Values all = weight.values();
  return {all.begin() + skip, all.end()};
}

// Runs of 16 elements, in more than one word, and a last run that is not whole.
TEST(AdamWKernel, DecaysWhatTheBitsSay) {
  for (const int64_t n : {1, 16, 17, 500, 512, 1030, 40000}) {
    const State s = start(n);
    const Values expected = reference(s, 1, by_runs).weight;
    for (const int64_t skip : {0, 1})
      expect_everywhere([&] { return run_with_bits<float>(s, skip); }, expected, 4 * epsilon<float>());
    expect_kernel([&] { return run_with_bits<double>(s, 0); }, expected, 4 * epsilon<double>());
  }
}

// A weight whose gradient is always zero only decays.
TEST(AdamWKernel, DividesZeroByEpsilon) {
  float weight = 1, g = 0, m = 0, v = 0;
  AdamW k = kSettings;
  k.weight = &weight, k.gradient = &g, k.m = &m, k.v = &v, k.count = 1;
  adamw.run(Device::cpu, {}, k);
  EXPECT_FLOAT_EQ(weight, 0.999f);
}

TEST(AdamWKernel, CountsStepsFromOne) {
  AdamW k = kSettings;
  k.step = 0;
  EXPECT_ERROR(adamw.run(Device::cpu, {}, k), Exit::failure, "adamw: steps count from 1, this is 0");
}

TEST(AdamWKernel, IsF32OnCuda) {
  if (!has_device(Device::cuda)) return;
  AdamW k = kSettings;
  k.dtype = DType::bf16;
  EXPECT_ERROR(adamw.run(Device::cuda, {}, k), Exit::failure, "adamw: on CUDA weights, gradients and moments are f32");
}

}  // namespace
}  // namespace hinoki::kernels::adamw_test
