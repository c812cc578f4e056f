// The features that HuBERT's first clusters are made of, at 100 frames a second: 13 mel-frequency cepstra as Kaldi's
// compute-mfcc-feats makes them (by the defaults of torchaudio.compliance.kaldi.mfcc, without energy and dither), then
// their deltas, then the deltas of those.
//
//   y      = 400 samples from 160 t on, less their mean
//   z[i]   = (y[i] - 0.97 y[max(i - 1, 0)]) (0.5 - 0.5 cos(2 pi i / 399))^0.85
//   P      = |DFT_512(z)|^2
//   m[b]   = ln max(2^-23, sum over f of W[b][f] P[f]),  23 triangles, evenly spaced in 1127 ln(1 + Hz / 700)
//                                                        between 20 and 8000 Hz, with feet on their neighbours' centres
//   c[k]   = (1 + 11 sin(pi k / 22)) sqrt((k ? 2 : 1) / 23) sum over b of m[b] cos(pi k (b + 1/2) / 23)
//   d[t]   = (2 (c[t + 2] - c[t - 2]) + c[t + 1] - c[t - 1]) / 10, the first and last frames repeated
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

constexpr int64_t kMfccRate = 16000, kMfccShift = 160, kMfccLength = 400;  // samples a second; of a frame
constexpr int64_t kMfccCepstra = 13, kMfccSize = 3 * kMfccCepstra;

// Frames that lie in `samples` whole.
constexpr int64_t mfcc_frames(int64_t samples) {
  return samples < kMfccLength ? 0 : 1 + (samples - kMfccLength) / kMfccShift;
}

struct Mfcc {
  const float* x;   // [samples], in [-1, 1), 16 kHz
  float* features;  // [mfcc_frames(samples), 39]: cepstra, deltas, deltas of deltas
  int64_t samples;
};

inline Kernel<Mfcc> mfcc{"mfcc"};

}  // namespace hinoki::kernels
