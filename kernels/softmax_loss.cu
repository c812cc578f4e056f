// CUDA kernel of the cross entropy of a softmax: a block for each row, whose largest logit and sum of exponentials are
// found in one pass. The row stays in shared memory for the second pass, which writes the gradient, if the GPU has
// enough of it (225 KiB with compute capability 9.0: 115,000 bf16 logits); longer ones are read again. Roofline: logits
// read once and written once, 4 (bf16) or 8 (f32) bytes an element; two exponentials an element keep the special
// function units of an H200 two thirds busy in bf16. 85 % of the copy bandwidth is expected for rows that fit twice
// into an SM's shared memory (up to 56,000 bf16 logits).
#include <cfloat>
#include <climits>

#include "kernels/cuda/fault.h"
#include "kernels/cuda/numbers.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/visit.h"
#include "kernels/softmax_loss.h"

namespace hinoki::kernels {
namespace {

constexpr int kMostThreads = 512, kUnroll = 4;
constexpr size_t kBesideRow = 2 * 1024;  // shared memory for block_sum and its kin

const FaultKind kBadLabel{Exit::data,
                          [](const Fault& f) { return label_not_in_vocabulary(f.value, f.place, f.limit); }};

template <int wide, class T>
__device__ void load(float (&x)[wide], const T* p) {
  if constexpr (wide == kVector<T>)
    load_vector(x, p);
  else
    x[0] = widen(*p);
}
template <int wide, class T>
__device__ void store(T* p, const float (&x)[wide]) {
  if constexpr (wide == kVector<T>)
    store_vector(p, x);
  else
    *p = narrow<T>(x[0]);
}

// The largest of what a thread has seen, and the sum of exp(x - largest). It starts at a finite value, so that -inf
// among the logits counts as nothing.
struct Running {
  float largest = -FLT_MAX, sum = 0;

  template <int wide>
  __device__ void take(const float (&x)[wide]) {
    float top = largest;
#pragma unroll
    for (int j = 0; j < wide; ++j) top = fmaxf(top, x[j]);
    if (top > largest) {
      sum *= __expf(largest - top);
      largest = top;
    }
#pragma unroll
    for (int j = 0; j < wide; ++j) sum += __expf(x[j] - largest);
  }
};

// A thread's own pieces of a row; it alone reads and writes them, in shared memory, too.
template <int wide, class F>
__device__ void each_piece(int64_t count, F f) {
  for (int64_t c = int64_t{threadIdx.x} * wide; c < count; c += int64_t{blockDim.x} * wide) f(c);
}

template <class T, int wide, bool kept>
__global__ void __launch_bounds__(kMostThreads) loss_of_row(SoftmaxLoss k, FaultWord fault) {
  DYNAMIC_SHARED(memory, T);
  const int64_t row = blockIdx.x;
  T* const logits = static_cast<T*>(k.logits) + row * k.vocabulary;
  const int32_t label = k.labels[row];
  const bool known = 0 <= label && label < k.vocabulary;
  if (!known && label != kIgnoredLabel && threadIdx.x == 0) report_fault(fault, k.first_row + row, label);
  const float at_label = known ? widen(logits[label]) : 0;

  Running mine;
  const int64_t step = int64_t{blockDim.x} * wide;
  const bool wanted = known || k.best != nullptr;  // the same in all threads
  if (wanted) {
    int64_t c = int64_t{threadIdx.x} * wide;
    for (; c + (kUnroll - 1) * step < k.vocabulary; c += kUnroll * step) {
      float x[kUnroll][wide];
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) load(x[u], logits + c + u * step);
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        mine.take(x[u]);
        if constexpr (kept) store(memory + c + u * step, x[u]);
      }
    }
    for (; c < k.vocabulary; c += step) {
      float x[wide];
      load(x, logits + c);
      mine.take(x);
      if constexpr (kept) store(memory + c, x);
    }
  }
  const T* const again = kept ? memory : logits;
  const float largest = block_max(mine.largest, -FLT_MAX);  // at_label is read before anyone writes
  const float sum = block_sum(mine.sum * __expf(mine.largest - largest));

  if (k.best != nullptr) {
    int first = INT_MAX;
    each_piece<wide>(k.vocabulary, [&](int64_t c) {
      float x[wide];
      load(x, again + c);
#pragma unroll
      for (int j = wide - 1; j >= 0; --j)
        if (x[j] == largest && c + j < first) first = int(c + j);
    });
    first = block_min(first, INT_MAX);
    if (threadIdx.x == 0) k.best[row] = first == INT_MAX ? 0 : first;  // all are NaN
  }
  if (k.entropy != nullptr) {
    float below = 0;  // the sum of exp(x - largest) (x - largest)
    if (known)
      each_piece<wide>(k.vocabulary, [&](int64_t c) {
        float x[wide];
        load(x, again + c);
#pragma unroll
        for (int j = 0; j < wide; ++j) {
          const float distance = fmaxf(x[j] - largest, -1000.0f);  // a logit of -inf adds nothing
          below += __expf(distance) * distance;
        }
      });
    below = block_sum(below);
    if (threadIdx.x == 0) k.entropy[row] = known ? log(double(sum)) - double(below) / double(sum) : 0;
  }
  if (threadIdx.x == 0) k.loss[row] = known ? double(largest) - double(at_label) + log(double(sum)) : 0;
  if (!k.gradient) return;
  const double weighted = k.weights != nullptr ? k.scale * k.weights[row] : k.scale;
  const float scale = float(weighted), factor = known ? float(weighted / double(sum)) : 0;
  each_piece<wide>(k.vocabulary, [&](int64_t c) {
    float x[wide] = {};
    if (known) {
      load(x, again + c);
#pragma unroll
      for (int j = 0; j < wide; ++j) {
        x[j] = __expf(x[j] - largest) * factor;
        if (c + j == label) x[j] -= scale;
      }
    }
    store(logits + c, x);
  });
}

const bool ready = softmax_loss.provide(Device::cuda, [](const SoftmaxLoss& k, Stream stream) {
  require(k.rows >= 0 && k.rows <= INT_MAX && k.vocabulary >= 1 && k.vocabulary <= INT_MAX &&
              k.first_row + k.rows <= UINT_MAX,
          "softmax_loss: ", k.rows, " rows of ", k.vocabulary, " logits are too many for its CUDA kernel");
  visit_cuda_float("softmax_loss", k.dtype, [&]<class T>() {
    constexpr int kWide = kVector<T>;
    const int64_t bytes = k.vocabulary * int64_t(sizeof(T));
    const bool vectors = vector_aligned(static_cast<const T*>(k.logits), k.vocabulary);
    const bool again = k.gradient || k.best != nullptr || k.entropy != nullptr;
    const bool kept = again && size_t(bytes) + kBesideRow <= simt::shared_limit();
    const auto kernel = vectors ? kept ? loss_of_row<T, kWide, true> : loss_of_row<T, kWide, false>
                        : kept ? loss_of_row<T, 1, true>
                                : loss_of_row<T, 1, false>;
    const int threads = k.vocabulary < 4096 ? 128 : kMostThreads;
    simt::launch(kernel, unsigned(k.rows), threads, size_t(kept ? bytes : 0), stream, k,
                 fault_word(stream, kBadLabel, k.vocabulary));
  });
});

}  // namespace
}  // namespace hinoki::kernels
