// CPU kernel of sums by a tree: one pass, whatever the number of terms.
#include "kernels/tree_sum.h"

#include "core/base/parallel.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kBlock = 16384;  // elements of a task

template <int N, class T>
T sum_at(const T* const* x, int64_t i) {
  if constexpr (N == 1)
    return x[0][i];
  else
    return sum_at<N / 2>(x, i) + sum_at<N / 2>(x + N / 2, i);
}

template <class T, int N>
void sum_block(const T* const* from, T* y, int64_t begin, int64_t end) {
  const T* x[N];  // local, so that the compiler sees that y does not change the pointers
  std::copy_n(from, N, x);
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) y[i] = sum_at<N>(x, i);
}

const bool ready = tree_sum.provide(kTarget, [](const TreeSum& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    visit_terms(k.terms, [&]<int N>() {
      const T* x[N];
      for (int n = 0; n < N; ++n) x[n] = static_cast<const T*>(k.x[n]);
      parallel_blocks(k.count, kBlock,
                      [&](int64_t begin, int64_t end) { sum_block<T, N>(x, static_cast<T*>(k.y), begin, end); });
    });
  });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
