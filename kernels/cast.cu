// CUDA kernel of conversions between float types. Bound by memory: 6 bytes an element between f32 and 16 bits; 90 % of
// the copy bandwidth is expected.
#include "kernels/cast.h"
#include "kernels/cuda/grid.h"

namespace hinoki::kernels {
namespace {

struct Same {
  __device__ float operator()(float x) const { return x; }
};

template <class From, class To>
void convert_all(const Cast& k, Stream s) {
  launch_map<From, To, 1>({{static_cast<const From*>(k.x)}}, static_cast<To*>(k.y), k.count, Same{}, s);
}

const bool ready = cast.provide(Device::cuda, [](const Cast& k, Stream s) {
  if (k.from == DType::f32 && k.to == DType::bf16) return convert_all<float, bf16>(k, s);
  if (k.from == DType::f32 && k.to == DType::f32) return convert_all<float, float>(k, s);
  if (k.from == DType::bf16 && k.to == DType::f32) return convert_all<bf16, float>(k, s);
  if (k.from == DType::f16 && k.to == DType::f32) return convert_all<f16, float>(k, s);
  fail("cast: from ", k.from, " to ", k.to, " is not provided on CUDA");
});

}  // namespace
}  // namespace hinoki::kernels
