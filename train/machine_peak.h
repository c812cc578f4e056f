// What this machine reaches at most, and what our matrix product reaches on it: for `hinoki bench` and for the share of
// peak in the progress lines. Each figure is the best of several runs, since cores may be shared.
#pragma once
#include <cstdint>
#include <string>

namespace hinoki {

double measure_fma_peak_gflops(int threads, double seconds = 0.3);
// What the threads of the current pool reach just now, on average over 20 ms: no clock of ours tells what others leave of a
// core.
double fma_gflops_now();
double measure_copy_gbs(int threads);  // bytes read plus bytes written, of arrays no cache holds

double measure_read_gbs(int threads);  // of an array no cache holds

// The three products of a linear layer's step, m tokens, n outputs, k inputs:
//   forward  Y [m, n] = X W^T      input_gradient  dX [m, k] = dY W      weight_gradient  dW [n, k] += dY^T X
enum class GemmLayout : uint8_t { forward, input_gradient, weight_gradient };

struct GemmMeasurement {
  int64_t m, n, k;
  GemmLayout layout = GemmLayout::forward;
  int threads = 1;
  std::string library = "own";  // or "openblas"
};
double measure_gemm_gflops(const GemmMeasurement& what);

// Attention forward (and backward, if asked) over packed projections; the causal half counted once:
// 2 products forward, 5 backward, of batch * heads * time * (time + 1) / 2 * dim multiply-adds each.
struct AttentionMeasurement {
  int64_t batch, heads, dim, time;
  int threads = 1;
};
struct AttentionRates {
  double forward, backward;  // GFLOP/s
};
AttentionRates measure_attention_gflops(const AttentionMeasurement& what);

}  // namespace hinoki
