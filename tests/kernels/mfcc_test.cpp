#include "kernels/mfcc.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <numbers>

#include "core/safetensors.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::mfcc_test {
namespace {

using namespace hinoki::test;
constexpr double kPi = std::numbers::pi;

Values features(const Values& x) {
  Operand<float> in(x), out(mfcc_frames(int64_t(x.size())) * kMfccSize);
  mfcc.run(here(), {}, {.x = in.data(), .features = out.data(), .samples = in.size()});
  return out.values();
}

// The formulas of the header, one after the other: a sum for each frequency, no transform.
Values cepstra_of(const double* x) {
  Values y(x, x + 400);
  double mean = 0;
  for (const double v : y) mean += v / 400;
  for (double& v : y) v -= mean;
  for (int i = 399; i >= 0; --i) {
    y[i] -= 0.97 * y[std::max(i - 1, 0)];
    y[i] *= std::pow(0.5 - 0.5 * std::cos(2 * kPi * i / 399), 0.85);
  }
  static const auto roots = [] {
    std::vector<std::complex<double>> w;
    for (int i = 0; i < 512; ++i) w.push_back(std::polar(1.0, -2 * kPi * i / 512));
    return w;
  }();
  Values power(256);
  for (int f = 0; f < 256; ++f) {
    std::complex<double> sum = 0;
    for (int i = 0; i < 400; ++i) sum += y[i] * roots[f * i % 512];
    power[f] = std::norm(sum);
  }
  const auto mel = [](double hertz) { return 1127 * std::log(1 + hertz / 700); };
  const double step = (mel(8000) - mel(20)) / 24;
  Values m(23), c(13);
  for (int b = 0; b < 23; ++b) {
    const double left = mel(20) + b * step, centre = left + step, right = centre + step;
    for (int f = 0; f < 256; ++f) {
      const double at = mel(f * 16000.0 / 512);
      const double up = (at - left) / (centre - left), down = (right - at) / (right - centre);
      m[b] += std::max(0.0, std::min(up, down)) * power[f];
    }
    m[b] = std::log(std::max(m[b], std::pow(2.0, -23)));
  }
  for (int k = 0; k < 13; ++k) {
    for (int b = 0; b < 23; ++b) c[k] += m[b] * std::cos(kPi * k * (b + 0.5) / 23);
    c[k] *= std::sqrt((k == 0 ? 1.0 : 2.0) / 23) * (1 + 11 * std::sin(kPi * k / 22));
  }
  return c;
}

Values reference(const Values& x) {
  const int64_t frames = mfcc_frames(int64_t(x.size()));
  Values out(size_t(frames * 39));
  for (int64_t t = 0; t < frames; ++t) {
    const Values c = cepstra_of(x.data() + 160 * t);
    std::copy(c.begin(), c.end(), out.begin() + t * 39);
  }
  for (int64_t column = 13; column < 39; ++column)
    for (int64_t t = 0; t < frames; ++t) {
      double sum = 0;
      for (int64_t n = -2; n <= 2; ++n)
        sum += double(n) * out[std::clamp<int64_t>(t + n, 0, frames - 1) * 39 + column - 13];
      out[t * 39 + column] = sum / 10;
    }
  return out;
}

// Vowel-like: harmonics of a gliding tone under noise.
Values sound(int64_t samples) {
  Values x = uniform_values(samples, -0.05, 0.05, 7);
  for (int64_t i = 0; i < samples; ++i)
    for (int h = 1; h < 20; ++h)
      x[i] += 0.3 / h * std::sin(2 * kPi * h * (120 + 0.001 * double(i)) * double(i) / 16000);
  for (double& v : x) v = double(float(v));
  return x;
}

// A spectrum of magnitudes up to 1 with some 1e-6 of it as rounding, next to a noise floor of 0.05: logarithms are
// right to 1e-5, and the lifter makes at most 12 times as much of them.
constexpr double kTolerance = 5e-4;

TEST(Mfcc, FollowsTheFormulas) {
  // Fewer than a delta looks at; around a vector's lanes; a task's frames; a block of the deltas.
  for (const int64_t frames : {1, 2, 3, 7, 8, 15, 16, 17, 63, 64, 65, 1024, 1027}) {
    const Values x = sound(400 + 160 * (frames - 1) + frames % 160);
    ASSERT_EQ(mfcc_frames(int64_t(x.size())), frames);
    expect_kernel([&] { return features(x); }, reference(x), kTolerance);
  }
}

// scripts/make_golden_mfcc.py: filters of transformers, transforms and slopes of NumPy.
TEST(Mfcc, IsWhatOtherImplementationsMake) {
  const auto file = SafetensorsFile::open(std::string(HINOKI_SOURCE_DIR) + "/tests/golden/mfcc/expected.safetensors");
  const StoredTensor samples = file.at("samples"), expected = file.at("features");
  ASSERT_EQ(samples.dtype, DType::f32);
  ASSERT_EQ(expected.shape, (Shape{63, 39}));
  std::vector<float> x(size_t(samples.shape.numel()));
  Values want(size_t(expected.shape.numel()));
  std::memcpy(x.data(), samples.bytes.data(), samples.bytes.size());
  std::memcpy(want.data(), expected.bytes.data(), expected.bytes.size());
  expect_kernel([&] { return features(Values(x.begin(), x.end())); }, want, kTolerance);
}

TEST(Mfcc, HasNoFrameInLessThanAFrame) {
  EXPECT_EQ(mfcc_frames(0), 0);
  EXPECT_EQ(mfcc_frames(399), 0);
  EXPECT_EQ(mfcc_frames(400), 1);
  EXPECT_EQ(mfcc_frames(559), 1);
  EXPECT_EQ(mfcc_frames(560), 2);
  EXPECT_TRUE(features(sound(399)).empty());
}

// Digital silence lies on the floor of the logarithm: c[0] = sqrt(23) ln 2^-23, the others 0.
TEST(Mfcc, IsFiniteInSilence) {
  Values expected(39 * 5);
  for (int t = 0; t < 5; ++t) expected[39 * t] = std::sqrt(23.0) * std::log(std::pow(2.0, -23));
  expect_kernel([&] { return features(Values(400 + 4 * 160)); }, expected, 2e-4);
}

// A frame does not know what else was cut from the sound.
TEST(Mfcc, GivesAFrameTheSameBitsWhereverItStands) {
  const Values x = sound(400 + 160 * 99);
  const Values all = features(x), later = features(Values(x.begin() + 160 * 37, x.end()));
  for (int64_t t = 0; t < 63; ++t)
    for (int64_t c = 0; c < kMfccCepstra; ++c) EXPECT_EQ(all[(t + 37) * kMfccSize + c], later[t * kMfccSize + c]);
}

}  // namespace
}  // namespace hinoki::kernels::mfcc_test
