// CUDA kernel of AdamW. Roofline: 28 bytes an element, 30 with a bf16 copy, and nothing else: 90 % of the copy
// bandwidth is expected. Four loads of 16 bytes a thread are enough, with 2048 threads of an SM at once.
#include <climits>

#include "kernels/adamw.h"
#include "kernels/cuda/numbers.h"

namespace hinoki::kernels {
namespace {

constexpr int kThreads = 256;

struct Arrays {
  float* weight;
  const float* gradient;
  float *m, *v;
  bf16* copy;
  const uint32_t* decays;
  int64_t count;

  __device__ bool has_decay(int64_t i) const {
    return decays == nullptr || (decays[i / kDecayWord] >> (i / kDecayRun % 32) & 1) != 0;
  }
};

__device__ void update(const AdamWFactors<float>& f, float keep, float gradient, float& weight, float& m, float& v) {
  const float d = f.gradient * gradient;
  m = m + f.beta1_rest * (d - m);
  v = f.beta2 * v + f.beta2_rest * (d * d);
  weight = keep * weight - f.rate * m / (sqrtf(v) * f.root + f.eps);
}

__global__ void __launch_bounds__(kThreads) update_vectors(Arrays a, AdamWFactors<float> f) {
  const int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
  if (i + 4 <= a.count) {
    const float keep = a.has_decay(i) ? f.keep : 1;
    float gradient[4], weight[4], m[4], v[4];
    load_vector(gradient, a.gradient + i);
    load_vector(weight, a.weight + i);
    load_vector(m, a.m + i);
    load_vector(v, a.v + i);
#pragma unroll
    for (int j = 0; j < 4; ++j) update(f, keep, gradient[j], weight[j], m[j], v[j]);
    store_vector(a.weight + i, weight);
    store_vector(a.m + i, m);
    store_vector(a.v + i, v);
    if (a.copy != nullptr)
      *reinterpret_cast<uint2*>(a.copy + i) =
          make_uint2(pack_bf16(weight[0], weight[1]), pack_bf16(weight[2], weight[3]));
    return;
  }
  for (int64_t j = i; j < a.count; ++j) {
    update(f, a.has_decay(j) ? f.keep : 1, a.gradient[j], a.weight[j], a.m[j], a.v[j]);
    if (a.copy != nullptr) a.copy[j] = narrow<bf16>(a.weight[j]);
  }
}

__global__ void __launch_bounds__(kThreads) update_each(Arrays a, AdamWFactors<float> f) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= a.count) return;
  update(f, a.has_decay(i) ? f.keep : 1, a.gradient[i], a.weight[i], a.m[i], a.v[i]);
  if (a.copy != nullptr) a.copy[i] = narrow<bf16>(a.weight[i]);
}

const bool ready = adamw.provide(Device::cuda, [](const AdamW& k, Stream stream) {
  require(k.dtype == DType::f32, "adamw: on CUDA weights, gradients and moments are f32, not ", k.dtype);
  const Arrays a{.weight = static_cast<float*>(k.weight),
                 .gradient = static_cast<const float*>(k.gradient),
                 .m = static_cast<float*>(k.m),
                 .v = static_cast<float*>(k.v),
                 .copy = static_cast<bf16*>(k.copy),
                 .decays = k.decays,
                 .count = k.count};
  const bool vectors = vector_aligned(a.weight) && vector_aligned(a.gradient) && vector_aligned(a.m) &&
                       vector_aligned(a.v) && reinterpret_cast<uintptr_t>(a.copy) % 8 == 0;
  const int64_t of_block = vectors ? kThreads * 4 : kThreads, blocks = (k.count + of_block - 1) / of_block;
  require(k.count >= 0 && blocks <= INT_MAX, "adamw: ", k.count, " weights are too many");
  simt::launch(vectors ? update_vectors : update_each, unsigned(blocks), kThreads, 0, stream, a,
               AdamWFactors<float>(k));
});

}  // namespace
}  // namespace hinoki::kernels
