// The program with --device cuda, on a GPU or its emulator.
#include <gtest/gtest.h>

#include <map>

#include "core/base/device.h"
#include "tests/end_to_end/tiny_program.h"

namespace hinoki {
namespace {

using test::expect_outcome;

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream text(bytes_of_file(path));
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

// Of each kind of product one line, in the log alone.
TEST(CudaProgram, LogNamesTheAlgorithmOfEachProduct) {
  if (!has_device(Device::cuda)) return;
  const test::TinyProgram p;
  const auto outcome = expect_outcome(
      0, {"step 3/3"}, {"train", p.config("cuda"), "device=cuda", "precision=bf16", "train.steps=3", "train.batch=2"});
  EXPECT_EQ(outcome.err.find("algorithm"), std::string::npos) << outcome.err;
  std::map<std::string, int> products;
  bool first_step = false;
  int versions = 0;
  for (const std::string& line : lines_of(p.path("cuda") + "/log.txt")) {
    first_step |= line.find("step 1/3") != std::string::npos;
    versions += line.find("cuBLASLt ") != std::string::npos;
    if (!line.starts_with("  gemm ")) continue;
    EXPECT_TRUE(first_step) << "plans are made by the first step";
    EXPECT_NE(line.find(", tile "), std::string::npos) << line;
    ++products[line];
  }
  EXPECT_EQ(versions, 1);
  for (const auto& [line, times] : products) EXPECT_EQ(times, 1) << line;
  // 2 sequences of 16 tokens, width 32: queries, keys and values, and the gradient of their weights.
  for (const char* product :
       {"gemm 32 x 96 x 32, bf16 to bf16, A B^T + bias: ", "gemm 96 x 32 x 32, bf16 to f32, A^T B"}) {
    const auto has = [&](const auto& entry) { return entry.first.find(product) != std::string::npos; };
    EXPECT_TRUE(std::any_of(products.begin(), products.end(), has)) << product;
  }
}

}  // namespace
}  // namespace hinoki
