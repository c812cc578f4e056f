// The arrays of kernel tests: who reads an output that nobody has written is caught, in a kernel and in a library's
// twin.
#include <gtest/gtest.h>

#include "kernels/column_sum.h"
#include "kernels/cuda/simt.h"
#include "kernels/gemm.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

#if !defined(__CUDACC__)
namespace hinoki {
namespace {

using namespace hinoki::test;

constexpr int kThreads = 64;

// Meant to be y = x.
__global__ void adds_to_its_output(float* y, const float* x) { y[threadIdx.x] += x[threadIdx.x]; }

Values add_onto(Operand<float>&& y) {
  Operand<float> x(Values(kThreads, 2));
  simt::launch(adds_to_its_output, 1, kThreads, 0, {}, y.data(), x.data());
  return y.values();
}

TEST(Operand, OutputsCountAsUnwritten) {
  const auto caught = [] {
    EXPECT_ERROR(add_onto(Operand<float>(kThreads)), Exit::failure, "uninitialised: read of 4 bytes of global memory");
    EXPECT_ERROR(add_onto(Operand<float>(kThreads, 0.0f)), Exit::failure, "uninitialised");
    EXPECT_ERROR(add_onto(Operand<float>(Values(kThreads, 1), Reads::no)), Exit::failure, "uninitialised");
    return Values{};
  };
  expect_on_cuda(caught, {}, 0);
  expect_on_cuda([] { return add_onto(Operand<float>(kThreads, 1.0f, Reads::yes)); }, Values(kThreads, 3), 0);
  expect_on_cuda([] { return add_onto(Operand<float>(Values(kThreads, 1))); }, Values(kThreads, 3), 0);
}

TEST(Operand, OutputsKeepWhatTheKernelLeavesAlone) {
  const auto second_half = [] {
    Operand<float> y(2 * kThreads, 5.0f);
    device_table(Device::cuda).fill(y.data() + kThreads, 0, kThreads * sizeof(float), {});
    Operand<float> x(Values(kThreads, 2));
    simt::launch(adds_to_its_output, 1, kThreads, 0, {}, y.data() + kThreads, x.data());
    return y.values();
  };
  expect_on_cuda(second_half, Values(kThreads, 5) + Values(kThreads, 2), 0);
}

// Kernels of the house, asked to add to what is not there.
TEST(Operand, AccumulatingOntoNothingIsCaught) {
  const auto caught = [] {
    Operand<float> x(Values(12, 1)), sums(4), c(16);
    EXPECT_ERROR(kernels::column_sum.run(here(), {},
                                         {.x = x.data(),
                                          .sum = sums.data(),
                                          .accumulate = true,
                                          .rows = 3,
                                          .cols = 4,
                                          .stride = 4,
                                          .dtype = DType::f32}),
                 Exit::failure, "uninitialised");
    EXPECT_ERROR(kernels::gemm.run(here(), {},
                                   {.a = x.data(),
                                    .b = x.data(),
                                    .c = c.data(),
                                    .m = 4,
                                    .n = 4,
                                    .k = 3,
                                    .lda = 3,
                                    .ldb = 4,
                                    .ldc = 4,
                                    .accumulate = true}),
                 Exit::failure, "which nobody has written");
    return Values{};
  };
  expect_on_cuda(caught, {}, 0);
}

}  // namespace
}  // namespace hinoki
#endif
