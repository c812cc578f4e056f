// CUDA kernel of sums by a tree. Bound by memory: 4 (terms + 1) bytes an element in f32; 90 % of the copy bandwidth is
// expected.
#include "kernels/cuda/grid.h"
#include "kernels/tree_sum.h"

namespace hinoki::kernels {
namespace {

template <int N>
struct Tree {
  __device__ float operator()(float a) const { return a; }
  __device__ float operator()(float a, float b) const { return a + b; }
  __device__ float operator()(const float (&x)[N]) const { return sum<0, N>(x); }

 private:
  template <int First, int Count>
  __device__ static float sum(const float (&x)[N]) {
    if constexpr (Count == 1)
      return x[First];
    else
      return sum<First, Count / 2>(x) + sum<First + Count / 2, Count / 2>(x);
  }
};

const bool ready = tree_sum.provide(Device::cuda, [](const TreeSum& k, Stream s) {
  visit_cuda_float("tree_sum", k.dtype, [&]<class T>() {
    visit_terms(k.terms, [&]<int N>() {
      Inputs<T, N> in;
      for (int n = 0; n < N; ++n) in.array[n] = static_cast<const T*>(k.x[n]);
      launch_map<T, T, N>(in, static_cast<T*>(k.y), k.count, Tree<N>{}, s);
    });
  });
});

}  // namespace
}  // namespace hinoki::kernels
