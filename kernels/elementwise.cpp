// CPU kernels of elementwise arithmetic.
#include "kernels/elementwise.h"

#include "core/base/parallel.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kBlock = 32768;  // elements of a task

// body(i) for all i, each on its own.
template <class Body>
void each(int64_t count, Body body) {
  parallel_blocks(count, kBlock, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

template <auto combine>
void run_binary(const Binary& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    each(k.count, [a = static_cast<const T*>(k.a), b = static_cast<const T*>(k.b),
                   y = static_cast<T*>(k.y)](int64_t i) { y[i] = combine(a[i], b[i]); });
  });
}

template <bool add_to_y>
void run_scaled(const Scaled& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    each(k.count, [x = static_cast<const T*>(k.x), y = static_cast<T*>(k.y), factor = T(k.factor)](int64_t i) {
      y[i] = add_to_y ? y[i] + factor * x[i] : factor * x[i];
    });
  });
}

const bool ready = add.provide(kTarget, run_binary<[](auto a, auto b) { return a + b; }>) &&
                   mul.provide(kTarget, run_binary<[](auto a, auto b) { return a * b; }>) &&
                   scale.provide(kTarget, run_scaled<false>) && axpy.provide(kTarget, run_scaled<true>) &&
                   fill.provide(kTarget, [](const Fill& k, Stream) {
                     visit_float(k.dtype, [&]<class T>() {
                       each(k.count, [y = static_cast<T*>(k.y), value = T(k.value)](int64_t i) { y[i] = value; });
                     });
                   });

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
