#include "train/bench_kernels.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/device.h"
#include "core/base/json.h"
#include "tests/end_to_end/program.h"

namespace hinoki::bench_kernels_test {
namespace {

// Every kernel runs as the benchmark calls it; on the emulator that means within bounds and without races.
TEST(BenchKernels, RunsEveryKernelOnEveryDevice) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    if (!has_device(device)) continue;
    const KernelSpeeds speeds = bench_kernels(device, true);
    EXPECT_GT(speeds.copy_bytes_per_second, 0);
    EXPECT_GT(speeds.flops_per_second, 0);
    std::set<std::string> names;
    for (const KernelSpeed& k : speeds.kernels) {
      EXPECT_TRUE(names.insert(k.name).second) << k.name << " twice";
      EXPECT_GT(k.seconds, 0) << k.name;
      EXPECT_GT(k.bytes + k.flops, 0) << k.name;
    }
    for (const char* name : {"layer_norm + residual", "softmax_loss + gradient", "gemm dw + dbias", "rotary, a quarter",
                             "attention_grad, dim 128", "conv1d, layer 0, dweight", "conv1d, layer 6, dx",
                             "conv1d, positional, 768", "group_norm_grad", "weight_norm_grad"})
      EXPECT_TRUE(names.contains(name)) << name << " on " << device;
  }
}

TEST(BenchKernels, LeavesOutWhatIsNotAskedFor) {
  const KernelSpeeds speeds = bench_kernels(Device::cpu, true, "positional");
  EXPECT_EQ(speeds.kernels.size(), 6u);
  for (const KernelSpeed& k : speeds.kernels) EXPECT_NE(k.name.find("positional"), std::string::npos) << k.name;
}

// The same step with either one's products: losses differ by rounding alone.
TEST(BenchStep, TakesTheProductsThatAreAskedFor) {
  std::vector<double> losses;
  for (const auto& [library, program] : {std::pair{"own", "hinoki"}, {"openblas", "hinoki with OpenBLAS"}}) {
    const test::Outcome o = test::expect_outcome(
        0, {}, {"bench", "step", "--size", "nano", "--steps", "1", "--gemm", library, "--json"});
    const Json line = parse_json(o.out, "a line");
    EXPECT_EQ(line["program"].get<std::string>(), program);
    EXPECT_GT(line["activation_bytes"].get<int64_t>(), 0);
    const double share = line["share_of_peak"].get<double>();
    EXPECT_GT(share, 0);
    EXPECT_LT(share, 1) << "a step cannot multiply faster than the registers do";
    losses.push_back(line["loss"].get<double>());
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-6);
  EXPECT_NE(losses[0], losses[1]) << "nobody else multiplied";
}

TEST(BenchKernels, PrintsALineForEach) {
  const test::Outcome o = test::expect_outcome(0, {}, {"bench", "kernels", "--tiny", "--json"});
  std::istringstream lines(o.out);
  std::string line;
  int count = 0;
  for (; std::getline(lines, line); ++count) EXPECT_GT(parse_json(line, "a line")["seconds"].get<double>(), 0) << line;
  EXPECT_GT(count, 15);
}

}  // namespace
}  // namespace hinoki::bench_kernels_test
