// CPU kernels of the elementwise functions.
#include "kernels/unary.h"

#include "core/base/parallel.h"
#include "kernels/cpu/math.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kBlock = 16384;  // elements of a task

template <class T>
T value(Exp, T x) {
  return exp(x);
}
template <class T>
T slope(Exp, T x) {
  return exp(x);
}
template <class T>
T value(Log, T x) {
  return log(x);
}
template <class T>
T slope(Log, T x) {
  return 1 / x;
}
template <class T>
T value(Erf, T x) {
  return erf(x);
}
template <class T>
T slope(Erf, T x) {
  return T(1.1283791670955126) * exp(-x * x);
}
template <class T>
T value(Tanh, T x) {
  return tanh(x);
}
template <class T>
T slope(Tanh, T x) {
  return 1 - tanh(x) * tanh(x);
}
template <class T>
T value(Gelu, T x) {
  return gelu(x).value;
}
template <class T>
T slope(Gelu, T x) {
  return gelu(x).slope;
}
template <class T>
T value(GeluTanh, T x) {
  return gelu_tanh(x).value;
}
template <class T>
T slope(GeluTanh, T x) {
  return gelu_tanh(x).slope;
}

template <class Op, class T>
[[gnu::flatten]] void forward(const T* x, T* y, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = value(Op{}, x[i]);
}

template <class Op, class T>
[[gnu::flatten]] void backward(const T* dy, const T* x, T* dx, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * slope(Op{}, x[i]);
}

template <class Op>
bool provide_op() {
  unary<Op>.provide(kTarget, [](const Unary& k, Stream) {
    visit_float(k.dtype, [&]<class T>() {
      parallel_blocks(k.count, kBlock, [&](int64_t begin, int64_t end) {
        forward<Op>(static_cast<const T*>(k.x) + begin, static_cast<T*>(k.y) + begin, end - begin);
      });
    });
  });
  return unary_grad<Op>.provide(kTarget, [](const UnaryGrad& k, Stream) {
    visit_float(k.dtype, [&]<class T>() {
      parallel_blocks(k.count, kBlock, [&](int64_t begin, int64_t end) {
        backward<Op>(static_cast<const T*>(k.dy) + begin, static_cast<const T*>(k.x) + begin,
                     static_cast<T*>(k.dx) + begin, end - begin);
      });
    });
  });
}

template <class... Ops>
bool provide_all(List<Ops...>) {
  return (provide_op<Ops>() && ...);
}

const bool ready = provide_all(UnaryOps{});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
