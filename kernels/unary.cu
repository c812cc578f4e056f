// CUDA kernels of the elementwise functions. Bound by memory: 8 bytes an element forward, 12 backward in f32, half of
// it in bf16; 85 % of the copy bandwidth is expected, where instructions (some 20 to 35 an element) nearly take as
// long.
#include "kernels/cuda/functions.h"
#include "kernels/cuda/grid.h"
#include "kernels/unary.h"

namespace hinoki::kernels {
namespace {

template <class Op>
struct Value {
  __device__ float operator()(float x) const { return value(Op{}, x); }
};
template <class Op>
struct Slope {
  __device__ float operator()(float dy, float x) const { return dy * slope(Op{}, x); }
};

template <class Op>
bool provide_op() {
  unary<Op>.provide(Device::cuda, [](const Unary& k, Stream s) {
    visit_cuda_float(Op::name, k.dtype, [&]<class T>() {
      launch_map<T, T, 1>({{static_cast<const T*>(k.x)}}, static_cast<T*>(k.y), k.count, Value<Op>{}, s);
    });
  });
  return unary_grad<Op>.provide(Device::cuda, [](const UnaryGrad& k, Stream s) {
    visit_cuda_float(Op::name, k.dtype, [&]<class T>() {
      launch_map<T, T, 2>({{static_cast<const T*>(k.dy), static_cast<const T*>(k.x)}}, static_cast<T*>(k.dx), k.count,
                          Slope<Op>{}, s);
    });
  });
}

template <class... Ops>
bool provide_all(List<Ops...>) {
  return (provide_op<Ops>() && ...);
}

const bool ready = provide_all(UnaryOps{});

}  // namespace
}  // namespace hinoki::kernels
