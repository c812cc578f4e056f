// CPU kernels of sums, norms and the search for what is not finite.
#include "kernels/norm.h"

#include "core/base/parallel.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/math.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

template <class T>
[[gnu::flatten]] double plain_sum(const T* x, int64_t n) {
  return sum_of<double>(n, [=](int64_t i) { return double(x[i]); });
}

template <class T>
[[gnu::flatten]] double square_sum(const T* x, int64_t n) {
  return sum_of<double>(n, [=](int64_t i) { return double(x[i]) * double(x[i]); });
}

// x * 0 is 0 for what is finite and NaN for the rest, which a sum keeps.
template <class T>
[[gnu::flatten]] bool all_finite(const T* x, int64_t n) {
  return sum_of<T>(n, [=](int64_t i) { return x[i] * T(0); }) == 0;
}

template <class T>
int64_t first_not_finite(const T* x, int64_t n) {
  if (all_finite(x, n)) return -1;
  int64_t i = 0;
  while (x[i] * T(0) == 0) ++i;
  return i;
}

template <auto sum_float, auto sum_double>
void run_sums(const Sums& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    parallel_blocks(k.count, kChunk, [&](int64_t begin, int64_t end) {
      const T* const x = static_cast<const T*>(k.x) + begin;
      if constexpr (sizeof(T) == 4)
        k.sums[begin / kChunk] = sum_float(x, end - begin);
      else
        k.sums[begin / kChunk] = sum_double(x, end - begin);
    });
  });
}

const bool ready = chunk_sums.provide(kTarget, run_sums<plain_sum<float>, plain_sum<double>>) &&
                   squared_norms.provide(kTarget, run_sums<square_sum<float>, square_sum<double>>) &&
                   finite_check.provide(kTarget, [](const FiniteCheck& k, Stream) {
                     visit_float(k.dtype, [&]<class T>() {
                       parallel_blocks(k.count, kChunk, [&](int64_t begin, int64_t end) {
                         const int64_t i = first_not_finite(static_cast<const T*>(k.x) + begin, end - begin);
                         k.first[begin / kChunk] = i < 0 ? -1 : begin + i;
                       });
                     });
                   });

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
