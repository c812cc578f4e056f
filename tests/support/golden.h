// Values that PyTorch and transformers computed: the folders of tests/golden.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "core/safetensors.h"
#include "models/scope.h"
#include "tests/support/op_check.h"

namespace hinoki::test {

// FOLDER/expected.safetensors.
class Expected {
 public:
  explicit Expected(const std::string& folder) : file_(SafetensorsFile::open(folder + "/expected.safetensors")) {}

  bool contains(const std::string& name) const { return file_.contains(name); }
  Tensor operator()(const std::string& name) const {
    const StoredTensor t = file_.at(name);
    Tensor copy = empty(t.shape, t.dtype);
    std::memcpy(copy.data(), t.bytes.data(), t.bytes.size());
    return copy;
  }
  // Each element of `got`, but those of rows that `skipped` (i32, one for each row of the last axis) names, if given.
  void near(const Tensor& got, const std::string& name, double bound, const Tensor& skipped = {}) const {
    const Tensor want = (*this)(name);
    ASSERT_EQ(got.shape(), want.shape()) << name;
    const auto a = values(got), b = values(want);
    const auto width = size_t(got.size(-1));
    size_t compared = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      if (skipped.defined() && skipped.as<int32_t>()[i / width]) continue;
      ASSERT_NEAR(a[i], b[i], bound) << name << ", element " << i;
      ++compared;
    }
    ASSERT_GT(compared, 0u) << name;
  }
  // The gradient of each parameter; zero where PyTorch made none. Some true gradients are zero (the key's bias, say),
  // so each tensor is held against the larger of its own norm and a thousandth of the global one.
  void gradients(const Parameters& parameters) const {
    const auto wanted_of = [this](const Parameter& p) {
      const std::string name = "grad." + p.name;
      return contains(name) ? (*this)(name) : zeros(p.shape, DType::f32);
    };
    double global = 0;
    for (const Parameter& p : parameters.all()) global += std::pow(norm(wanted_of(p)), 2);
    ASSERT_GT(global, 0);
    global = std::sqrt(global);
    for (const Parameter& p : parameters.all()) {
      const Tensor wanted = wanted_of(p);
      EXPECT_LE(distance(p.value.grad(), wanted), 1e-4 * std::max(norm(wanted), 1e-3 * global)) << p.name;
    }
  }

  static double norm(const Tensor& t) {
    double sum = 0;
    for (const double x : values(t)) sum += x * x;
    return std::sqrt(sum);
  }
  static double distance(const Tensor& a, const Tensor& b) {
    const auto x = values(a), y = values(b);
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
    return std::sqrt(sum);
  }

 private:
  SafetensorsFile file_;
};

}  // namespace hinoki::test
