// CPU kernel of MFCC. A vector holds the same number of as many frames as it has lanes, so every step, the transform
// among them, is vector arithmetic without a shuffle. Bound by arithmetic: about 15 k operations a frame.
#include "kernels/mfcc.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "core/base/parallel.h"
#include "core/base/scratch.h"
#include "kernels/cpu/vector.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

using V = Vector<float>;
constexpr int kSamplesSlot = 0, kFirstSlot = 1, kSecondSlot = 2;
constexpr int kFrames = kWidth<float>;  // at once
constexpr int64_t kFramesInTask = 64;
constexpr int kPoints = 512, kPairs = kPoints / 2, kBands = 23;

struct Complex {
  V re, im;
};
Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
Complex times(std::complex<float> w, Complex a) {
  const V re = broadcast(w.real()), im = broadcast(w.imag());
  return {fma(re, a.re, -(im * a.im)), fma(re, a.im, im * a.re)};
}

// All that does not depend on the sound, made in double.
struct Tables {
  float window[kMfccLength];
  std::complex<float> root[kPoints];  // exp(-2 pi i k / 512)
  float cosine[kMfccCepstra][kBands];
  struct Band {
    int begin, end;  // frequencies of its triangle
    float weight[kPairs];
  } bands[kBands];

  Tables() {
    constexpr double pi = std::numbers::pi;
    for (int i = 0; i < kMfccLength; ++i)
      window[i] = float(std::pow(0.5 - 0.5 * std::cos(2 * pi * i / (kMfccLength - 1)), 0.85));
    for (int k = 0; k < kPoints; ++k) root[k] = std::complex<float>(std::polar(1.0, -2 * pi * k / kPoints));
    for (int k = 0; k < kMfccCepstra; ++k)
      for (int b = 0; b < kBands; ++b)
        cosine[k][b] = float((1 + 11 * std::sin(pi * k / 22)) * std::sqrt((k ? 2.0 : 1.0) / kBands) *
                             std::cos(pi * k * (b + 0.5) / kBands));
    const auto mel = [](double hertz) { return 1127 * std::log(1 + hertz / 700); };
    const double low = mel(20), step = (mel(kMfccRate / 2) - low) / (kBands + 1);
    for (int b = 0; b < kBands; ++b) {
      Band& band = bands[b];
      band.begin = kPairs;
      band.end = 0;
      for (int f = 0; f < kPairs; ++f) {
        const double at = (mel(double(kMfccRate) * f / kPoints) - low) / step - b;  // 0 and 2 at the feet
        band.weight[f] = float(std::max(0.0, std::min(at, 2 - at)));
        if (band.weight[f] == 0) continue;
        band.begin = std::min(band.begin, f);
        band.end = f + 1;
      }
    }
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

// Frames `first` to `first + count` as columns of y, [512]: windowed, zeros after sample 400 and in unused lanes.
void cut_frames(const float* x, int64_t first, int64_t count, V* y) {
  const Tables& t = tables();
  V sum{};
  for (int64_t i = 0; i < kMfccLength; ++i) {
    V v{};
    for (int64_t l = 0; l < count; ++l) v[l] = x[(first + l) * kMfccShift + i];
    y[i] = v;
    sum += v;
  }
  const V mean = sum * broadcast(1.0f / kMfccLength), emphasis = broadcast(-0.97f);
  V before = y[0] - mean;
  for (int64_t i = 0; i < kMfccLength; ++i) {
    const V now = y[i] - mean;
    y[i] = fma(emphasis, before, now) * broadcast(t.window[i]);
    before = now;
  }
  std::fill(y + kMfccLength, y + kPoints, V{});
}

// One pass of the transform by fours that sorts itself (Stockham): from x to y, sequences of n, s of them interleaved.
void pass(const Complex* x, Complex* y, int n, int s) {
  const Tables& t = tables();
  const int m = n / 4;
  for (int p = 0; p < m; ++p) {
    const int turn = p * (kPoints / n);
    const std::complex<float> w1 = t.root[turn], w2 = t.root[2 * turn], w3 = t.root[3 * turn];
    for (int q = 0; q < s; ++q) {
      const Complex *const from = x + q + s * p, a = from[0], b = from[s * m], c = from[2 * s * m], d = from[3 * s * m];
      const Complex sum = a + c, difference = a - c, even = b + d, odd = b - d, turned{-odd.im, odd.re};
      Complex* const to = y + q + s * 4 * p;
      to[0] = sum + even;
      to[s] = times(w1, difference - turned);
      to[2 * s] = times(w2, sum - even);
      to[3 * s] = times(w3, difference + turned);
    }
  }
}

// |DFT_512|^2 at frequencies 0 to 255 of real numbers, taken as 256 complex ones.
void power(Complex* z, Complex* other, V* out) {
  const Tables& t = tables();
  for (int n = kPairs, s = 1; n > 1; n /= 4, s *= 4) {
    pass(z, other, n, s);
    std::swap(z, other);
  }
  const V half = broadcast(0.5f);
  for (int k = 0; k < kPairs; ++k) {
    const Complex a = z[k], b = z[(kPairs - k) % kPairs];
    const Complex even{half * (a.re + b.re), half * (a.im - b.im)}, odd{half * (a.im + b.im), half * (b.re - a.re)};
    const Complex f = even + times(t.root[k], odd);
    out[k] = fma(f.re, f.re, f.im * f.im);
  }
}

void cepstra(const Mfcc& k, int64_t first, int64_t count) {
  const Tables& t = tables();
  V* const y = reinterpret_cast<V*>(scratch<float>(kSamplesSlot, kPoints * kFrames));
  auto* const other = reinterpret_cast<Complex*>(scratch<float>(kFirstSlot, kPoints * kFrames));
  V* const spectrum = reinterpret_cast<V*>(scratch<float>(kSecondSlot, kPairs * kFrames));
  cut_frames(k.x, first, count, y);
  power(reinterpret_cast<Complex*>(y), other, spectrum);  // samples 2 i and 2 i + 1 are the parts of number i
  V mel[kBands];
  for (int b = 0; b < kBands; ++b) {
    const auto& band = t.bands[b];
    V sum{};
    for (int f = band.begin; f < band.end; ++f) sum = fma(broadcast(band.weight[f]), spectrum[f], sum);
    for (int64_t l = 0; l < kFrames; ++l) mel[b][l] = std::log(std::max(sum[l], 0x1p-23f));
  }
  for (int c = 0; c < kMfccCepstra; ++c) {
    V sum{};
    for (int b = 0; b < kBands; ++b) sum = fma(broadcast(t.cosine[c][b]), mel[b], sum);
    for (int64_t l = 0; l < count; ++l) k.features[(first + l) * kMfccSize + c] = sum[l];
  }
}

// From 13 columns to the 13 after them.
void deltas(float* from, int64_t frames) {
  const auto row = [&](int64_t t) { return from + std::clamp<int64_t>(t, 0, frames - 1) * kMfccSize; };
  parallel_blocks(frames, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float *const back2 = row(t - 2), *const back = row(t - 1), *const on = row(t + 1), *const on2 = row(t + 2);
      float* const to = row(t) + kMfccCepstra;
      for (int c = 0; c < kMfccCepstra; ++c) to[c] = (2 * (on2[c] - back2[c]) + (on[c] - back[c])) * 0.1f;
    }
  });
}

const bool ready = mfcc.provide(kTarget, [](const Mfcc& k, Stream) {
  const int64_t frames = mfcc_frames(k.samples);
  parallel_blocks(frames, kFramesInTask, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t += kFrames) cepstra(k, t, std::min<int64_t>(kFrames, end - t));
  });
  deltas(k.features, frames);
  deltas(k.features + kMfccCepstra, frames);
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
