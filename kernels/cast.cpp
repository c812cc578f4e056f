// CPU kernel of conversions between float types.
#include "kernels/cast.h"

#include "core/base/half.h"
#include "core/base/parallel.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

template <class From, class To>
void convert_all(const Cast& k) {
  parallel_blocks(k.count, 32768,
                  [x = static_cast<const From*>(k.x), y = static_cast<To*>(k.y)](int64_t begin, int64_t end) {
#pragma GCC ivdep
                    for (int64_t i = begin; i < end; ++i) {
                      if constexpr (sizeof(To) == 2)
                        y[i] = to_bf16(x[i]);
                      else if constexpr (sizeof(From) == 2)
                        y[i] = To(to_float(x[i]));
                      else
                        y[i] = To(x[i]);
                    }
                  });
}

template <class From>
bool convert_to(const Cast& k) {
  switch (k.to) {
    case DType::f32:
      return convert_all<From, float>(k), true;
    case DType::f64:
      return convert_all<From, double>(k), true;
    default:
      return false;
  }
}

bool convert(const Cast& k) {
  switch (k.from) {
    case DType::f32:
      return k.to == DType::bf16 ? (convert_all<float, bf16>(k), true) : convert_to<float>(k);
    case DType::f64:
      return convert_to<double>(k);
    case DType::bf16:
      return convert_to<bf16>(k);
    case DType::f16:
      return convert_to<f16>(k);
    default:
      return false;
  }
}

const bool ready = cast.provide(kTarget, [](const Cast& k, Stream) {
  require(convert(k), "cast: from ", k.from, " to ", k.to, " is not provided");
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
