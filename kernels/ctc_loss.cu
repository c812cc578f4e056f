// CUDA kernels of CTC: a warp for each frame's softmax, then a block for each row, whose threads hold the states and
// meet once a frame on the way forward and four times on the way back. Bound by latency: some 1 us a frame forward and
// 2 back, whatever the row's labels, so a batch of 15 s takes some 2 ms on as many SMs as it has rows. The sums of
// gradients over the states of one class follow a chain from the class's first state on: no atomics.
#include <algorithm>

#include "kernels/ctc_loss.h"
#include "kernels/cuda/grid.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/shared_limit.h"

namespace hinoki::kernels {
namespace {

constexpr int kFrameWarps = 4, kMostThreads = 512;
constexpr int64_t kMostLabels = 2048;  // what shared memory holds the states of
constexpr double kNever = -HUGE_VAL;
// The static shared memory of align_rows: three arrays over the labels, one over the states, and block_sum's.
constexpr size_t kStaticBytes =
    kMostLabels * (2 * sizeof(int) + sizeof(bool)) + (2 * kMostLabels + 1) * sizeof(float) + 256;

// The log of the sum of exponentials of each frame's logits, and their softmax where a gradient is wanted.
template <class T>
__global__ void __launch_bounds__(kFrameWarps* simt::kWarp) softmax_frames(CtcLoss k, double* log_sums) {
  const int64_t frame = int64_t(blockIdx.x) * kFrameWarps + warp_of_block();
  if (frame >= k.rows * k.time) return;  // a whole warp
  const T* const x = static_cast<const T*>(k.logits) + frame * k.classes;
  T* const y = static_cast<T*>(k.gradient) + (k.gradient ? frame * k.classes : 0);
  if (frame % k.time >= k.frames[frame / k.time]) {
    for (int64_t c = lane_of_warp(); k.gradient && c < k.classes; c += simt::kWarp) y[c] = narrow<T>(0);
    return;
  }
  float most = -HUGE_VALF, sum = 0;
  for (int64_t c = lane_of_warp(); c < k.classes; c += simt::kWarp) most = fmaxf(most, widen(x[c]));
  most = warp_reduce(most, Largest{});
  for (int64_t c = lane_of_warp(); c < k.classes; c += simt::kWarp) sum += expf(widen(x[c]) - most);
  sum = warp_sum(sum);
  for (int64_t c = lane_of_warp(); k.gradient && c < k.classes; c += simt::kWarp)
    y[c] = narrow<T>(expf(widen(x[c]) - most) / sum);
  if (lane_of_warp() == 0) log_sums[frame] = double(most) + double(logf(sum));
}

// log(e^a + e^b + e^c)
__device__ inline double log_sum(double a, double b, double c) {
  double m = a > b ? a : b;
  m = m > c ? m : c;
  m = m > -1e300 ? m : -1e300;
  return m + double(logf(expf(float(a - m)) + expf(float(b - m)) + expf(float(c - m))));
}

// What a block knows of its row. Arrays over the states are padded by two that are never reached, before and after.
template <class T>
struct Row {
  const T* logits;  // [frames, classes]
  const double* log_sums;
  double* alphas;      // [frames, states]
  double *even, *odd;  // [states], of frames with such numbers
  float* held;         // [states], occupancies of a frame
  const int* label;    // [count]
  const int* next;     // [count], the next label that is the same, or -1
  const bool* first;
  int64_t classes;
  int frames, count, states, blank;

  __device__ double* ring(int t) const { return t % 2 ? odd : even; }
  __device__ int class_of(int s) const { return s % 2 ? label[s / 2] : blank; }
  __device__ double emission(int t, int s) const {
    return double(widen(logits[int64_t(t) * classes + class_of(s)])) - log_sums[t];
  }
  __device__ bool skips_to(int s) const { return s % 2 && s >= 3 && s < states && label[s / 2] != label[s / 2 - 1]; }
};

template <class T>
__device__ double forward(const Row<T>& row) {
  for (int t = 0; t < row.frames; ++t) {
    const double* const before = row.ring(t + 1);
    double* const now = row.ring(t);
    for (int s = int(threadIdx.x); s < row.states; s += int(blockDim.x)) {
      const double e = row.emission(t, s);
      const double sum =
          t == 0 ? (s < 2 ? 0 : kNever) : log_sum(before[s], before[s - 1], row.skips_to(s) ? before[s - 2] : kNever);
      now[s] = sum + e;
      row.alphas[int64_t(t) * row.states + s] = sum + e;
    }
    __syncthreads();
  }
  const double* const last = row.ring(row.frames + 1) + row.states - 1;
  const double log_p = row.frames == 0 ? 0 : log_sum(last[0], last[-1], kNever);
  __syncthreads();  // the way back writes the ring
  return log_p;
}

template <class T>
__device__ void backward(const Row<T>& row, double log_p, T* gradient) {
  for (int t = row.frames - 1; t >= 0; --t) {
    const double* const after = row.ring(t + 1);  // beta[t + 1] and its emission
    double* const now = row.ring(t);
    T* const g = gradient + int64_t(t) * row.classes;
    float blanks = 0;
    for (int s = int(threadIdx.x); s < row.states; s += int(blockDim.x)) {
      const double sum = t == row.frames - 1
                             ? (s >= row.states - 2 ? 0 : kNever)
                             : log_sum(after[s], after[s + 1], row.skips_to(s + 2) ? after[s + 2] : kNever);
      const float p = expf(float(row.alphas[int64_t(t) * row.states + s] + sum - log_p));
      now[s] = sum + row.emission(t, s);
      row.held[s] = p;
      if (s % 2 == 0) blanks += p;
    }
    blanks = block_sum(blanks);
    __syncthreads();  // `held` of all states, also where block_sum needs no barrier
    for (int i = int(threadIdx.x); i < row.count; i += int(blockDim.x)) {
      if (!row.first[i]) continue;
      float p = 0;
      for (int j = i; j >= 0; j = row.next[j]) p += row.held[2 * j + 1];
      g[row.label[i]] = narrow<T>(expf(float(row.emission(t, 2 * i + 1))) - p);
    }
    if (threadIdx.x == 0) g[row.blank] = narrow<T>(expf(float(row.emission(t, 0))) - blanks);
    __syncthreads();  // the next frame writes `held`
  }
}

template <class T>
__global__ void __launch_bounds__(kMostThreads)
    align_rows(CtcLoss k, const double* log_sums, double* alphas, int most_states) {
  DYNAMIC_SHARED(memory, double);
  const int64_t r = blockIdx.x;
  const int count = k.label_lengths[r], states = 2 * count + 1, padded = most_states + 4;
  int64_t start = 0;
  for (int64_t i = 0; i < r; ++i) start += k.label_lengths[i];
  SHARED(label, int[kMostLabels]);
  SHARED(next, int[kMostLabels]);
  SHARED(first, bool[kMostLabels]);
  SHARED(held, float[2 * kMostLabels + 1]);
  for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) label[i] = k.labels[start + i];
  for (int s = int(threadIdx.x); s < 2 * padded; s += int(blockDim.x)) memory[s] = kNever;
  __syncthreads();
  for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) {
    int same = i + 1, before = i - 1;
    while (same < count && label[same] != label[i]) ++same;
    while (before >= 0 && label[before] != label[i]) --before;
    next[i] = same < count ? same : -1;
    first[i] = before < 0;
  }  // which other threads read on the way back, after the barriers of forward()
  const Row<T> row{.logits = static_cast<const T*>(k.logits) + r * k.time * k.classes,
                   .log_sums = log_sums + r * k.time,
                   .alphas = alphas + r * k.time * most_states,
                   .even = memory + 2,
                   .odd = memory + padded + 2,
                   .held = held,
                   .label = label,
                   .next = next,
                   .first = first,
                   .classes = k.classes,
                   .frames = k.frames[r],
                   .count = count,
                   .states = states,
                   .blank = int(k.blank)};
  const double log_p = forward(row);
  if (threadIdx.x == 0) k.loss[r] = -log_p;
  if (k.gradient) backward(row, log_p, static_cast<T*>(k.gradient) + r * k.time * k.classes);
}

const bool ready = ctc_loss.provide(Device::cuda, [](const CtcLoss& k, Stream s) {
  require(k.most_labels <= kMostLabels, "ctc_loss: a row of ", k.most_labels, " labels is more than the ", kMostLabels,
          " that its CUDA kernel takes");
  visit_cuda_float("ctc_loss", k.dtype, [&]<class T>() {
    const int64_t frames = k.rows * k.time, states = 2 * k.most_labels + 1;
    const unsigned blocks = blocks_for(frames, kFrameWarps);
    const size_t dynamic = size_t(2 * (states + 4)) * sizeof(double);
    require_shared(kStaticBytes + dynamic, say(k.most_labels, " labels"));
    double* const log_sums = cuda_scratch<double>(s, size_t(frames * (states + 1)));
    simt::launch(softmax_frames<T>, blocks, kFrameWarps * simt::kWarp, 0, s, k, log_sums);
    const int threads = int(std::clamp<int64_t>((states + 31) / 32 * 32, 32, kMostThreads));
    simt::launch(align_rows<T>, blocks_for(k.rows, 1), threads, dynamic, s, k,
                 log_sums, log_sums + frames, int(states));
  });
});

}  // namespace
}  // namespace hinoki::kernels
