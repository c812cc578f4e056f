#include "kernels/fma_peak.h"

#include <cmath>

#include "tests/support/each_target.h"

namespace hinoki {

using kernels::FmaPeak;

class FmaPeakKernel : public EachTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, FmaPeakKernel, testing::ValuesIn(targets_here()), target_name);

// Were a chain dropped, shortened or done at compile time, its value or the count of its operations would be another.
TEST_P(FmaPeakKernel, DoesTheOperationsThatItCounts) {
  const int chains = GetParam() == Target::avx512 ? 14 : 12;
  for (const int64_t rounds : {0, 1, 1000}) {
    float sink = -1;
    double flops = -1;
    kernels::fma_peak.run(Device::cpu, {}, {.rounds = rounds, .sink = &sink, .flops = &flops});
    // x <- 0.999 x + 0.001 leads from i towards 1.
    const double left = std::pow(0.999, double(rounds));
    double expected = 0;
    for (int i = 0; i < chains; ++i) expected += 1 + (i - 1) * left;
    EXPECT_NEAR(sink, expected, 1e-6 * double(rounds + 1) * chains);  // a rounding of a value near 1 in every round
    const double lanes = rounds ? flops / (2.0 * chains * double(rounds)) : 0;
    EXPECT_TRUE(rounds ? lanes == 4 || lanes == 8 || lanes == 16 : flops == 0) << lanes;
  }
}

}  // namespace hinoki
