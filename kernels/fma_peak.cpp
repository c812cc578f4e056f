#include "kernels/fma_peak.h"

#include "kernels/cpu/vector.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

const bool ready = fma_peak.provide(kTarget, [](const FmaPeak& k, Stream) {
  constexpr int chains = kVectorBytes == 64 ? 14 : 12;
  // Values that stay finite and normal for any number of rounds.
  const Vector<float> shrink = broadcast(0.999f), add = broadcast(0.001f);
  Vector<float> x[chains];
  for (int i = 0; i < chains; ++i) x[i] = broadcast(float(i));
  for (int64_t r = 0; r < k.rounds; ++r) {
#pragma GCC unroll 14
    for (int i = 0; i < chains; ++i) x[i] = fma(x[i], shrink, add);
  }
  float total = 0;
  for (int i = 0; i < chains; ++i) total += x[i][0];
  *k.sink = total;
  *k.flops = 2.0 * chains * kWidth<float> * double(k.rounds);
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
