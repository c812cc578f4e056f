// The program with --device cuda, on a GPU or its emulator.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "core/base/device.h"
#include "core/base/nccl.h"
#include "core/safetensors.h"
#include "tests/end_to_end/tiny_program.h"

namespace hinoki::cuda_test {
namespace {

using test::expect_outcome;

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream text(bytes_of_file(path));
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

// The figure of `hinoki eval`.
double nats_of(const std::string& printed) {
  const std::string row = "this model ";
  const size_t at = printed.find(row);
  EXPECT_NE(at, std::string::npos) << printed;
  return at == std::string::npos ? 0 : std::stod(printed.substr(at + row.size()));
}

std::vector<double> numbers(const StoredTensor& t) {
  std::vector<double> all(size_t(t.shape.numel()));
  for (size_t i = 0; i < all.size(); ++i)
    if (t.dtype == DType::f64) {
      std::memcpy(&all[i], t.bytes.data() + i * 8, 8);
    } else {
      float x = 0;
      std::memcpy(&x, t.bytes.data() + i * 4, 4);
      all[i] = x;
    }
  return all;
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
    EXPECT_TRUE(line.find(", tile ") != std::string::npos || line.ends_with(": not fused by the library")) << line;
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

// A finished model in f32 says there what it says on the CPU, up to the rounding of its sums.
TEST(CudaProgram, UsesFinishedModels) {
  test::TinyProgram p;
  const std::string model = p.newest_snapshot(p.trained()), corpus = p.path("tokens");
  expect_outcome(2, {"--precision bf16 needs --device cuda"}, {"generate", model, "--precision", "bf16"});
  if (!has_device(Device::cuda)) {
    for (const char* command : {"generate", "eval"}) {
      std::vector<std::string> words{command, model, "--device", "cuda"};
      if (command == std::string("eval")) words.insert(words.end(), {"--corpus", corpus});
      EXPECT_EQ(expect_outcome(2, {"CUDA: "}, words).out, "");
    }
    return;
  }
  const auto say = [&](std::vector<std::string> words, const std::vector<std::string>& where) {
    words.insert(words.end(), where.begin(), where.end());
    return expect_outcome(0, {}, words).out;
  };
  const std::vector<std::string> cuda{"--device", "cuda"}, bf16{"--device", "cuda", "--precision", "bf16"};
  for (const char* temperature : {"0", "1"}) {
    const std::vector<std::string> generate{"generate", model,    "--prompt", "猫は",          "--max-tokens",
                                            "20",       "--seed", "3",        "--temperature", temperature};
    EXPECT_EQ(say(generate, cuda), say(generate, {})) << temperature;
    EXPECT_EQ(say(generate, bf16), say(generate, bf16));
  }
  const std::vector<std::string> eval{"eval", model,         "--corpus", corpus,       "--sequence",
                                      "16",   "--sequences", "8",        "--no-ngrams"};
  const double on_cpu = nats_of(say(eval, {}));
  EXPECT_NEAR(nats_of(say(eval, cuda)), on_cpu, 1.1e-4) << "by one unit of the last digit printed";
  EXPECT_NEAR(nats_of(say(eval, bf16)), on_cpu, 4 * 0x1p-8 * on_cpu);  // as in training: CudaRun.LearnsInBf16

  const std::string ids = p.tiny.folder.write("ids.json", "{\"ids\": [[5, 6, 7, 8], [9, 3, 2, 1]]}").string();
  say({"probe", model, "--input", ids, "--output", p.path("cpu.safetensors")}, {});
  say({"probe", model, "--input", ids, "--output", p.path("cuda.safetensors")}, cuda);
  const SafetensorsFile host = SafetensorsFile::open(p.path("cpu.safetensors"));
  const SafetensorsFile device = SafetensorsFile::open(p.path("cuda.safetensors"));
  for (const SafetensorsEntry& e : host.entries()) {
    const auto expected = numbers(host.at(e.name)), got = numbers(device.at(e.name));
    ASSERT_EQ(got.size(), expected.size()) << e.name;
    double largest = 0;
    for (const double x : expected) largest = std::max(largest, std::abs(x));
    // Two layers of sums of at most 64 terms (the MLP's), as op_check bounds them.
    const double bound = 2 * 0x1p-23 * (16 + 4 * std::sqrt(64.0)) * largest;
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], bound) << e.name << " " << i;
  }
}

// Processes that exchange the gradients of their emulated GPUs by MPI, from a thread beside the one that trains.
TEST(CudaProgram, RanksGiveTheSameBitsThroughTheirHosts) {
  if (nccl::twins == nullptr) return;  // hardware needs a GPU for each
  const test::TinyProgram p;
  const auto train = [&](const std::string& run, const std::string& zero, int ranks) {
    test::run_program({"train", p.config(run), "device=cuda", "train.steps=3", "train.batch=1", "train.micro_batches=2",
                       "train.reduction_slots=2", "train.between_gpus=host", "train.zero=" + zero},
                      {.ranks = ranks});
    return test::weights_of(p.newest_snapshot(p.path(run)));
  };
  const std::string alone = train("alone", "0", 0);
  EXPECT_TRUE(train("two", "0", 2) == alone);
  EXPECT_TRUE(train("sharded", "1", 2) == alone);
}

TEST(CudaProgram, RanksThatNcclRefusesAreToldWhatServesThem) {
  if (nccl::twins == nullptr) return;
  const test::TinyProgram p;
  const auto outcome =
      test::run_program({"train", p.config("two"), "device=cuda", "train.micro_batches=2"}, {.ranks = 2});
  EXPECT_FALSE(std::filesystem::exists(p.path("two") + "/snapshots"));
  EXPECT_NE(outcome.err.find("connecting the GPUs: NCCL: invalid usage (ranks of the emulated GPU are threads of one "
                             "process; train.between_gpus = \"host\" serves others)"),
            std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace hinoki::cuda_test
