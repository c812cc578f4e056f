// A run that runs out of device memory: what it says, and that nothing of it is half-written.
#include <gtest/gtest.h>

#include <optional>

#include "core/base/log.h"
#include "tests/support/expect_error.h"
#include "tests/support/train_command.h"
#include "tests/support/watched_device.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki::memory_test {
namespace {

using test::train;

std::string weights(const GptConfig& config) {
  const auto found = find_usable(config.run + "/snapshots").found;
  return found ? bytes_of_file(found->path + "/model.safetensors") : "";
}

// As the device of this build is, and, where that is the emulator, also as hardware: there blocks are kept to be used
// again, and what one run leaves behind another finds.
class DeviceMemory : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (has_device(Device::cuda)) device.emplace(GetParam());
    set_quiet(true);
    tiny.config.device = Device::cuda;
    tiny.config.precision = Precision::bf16;
    tiny.config.train.batch = 4;
    tiny.config.train.steps = 2;
    tiny.config.samples.tokens = 0;
  }
  void TearDown() override {
    set_quiet(false);
    copy_log_to("");
    if (device) release_cached_memory(Device::cuda);
    device.reset();
  }

  // Too little for a step: half of what it needs beside the model, and nothing waits in the cache. Counted by tensors:
  // a device holds more than is needed at once.
  size_t too_little() {
    release_cached_memory(Device::cuda);
    size_t bytes = 0;
    {
      hinoki::Run run(tiny.in("measured"));
      release_cached_memory(Device::cuda);
      bytes = device->used();
      const size_t model = memory_use(Device::cuda).live;
      reset_peak_memory(Device::cuda);
      run.step();
      bytes += (memory_use(Device::cuda).peak - model) / 2;
    }
    release_cached_memory(Device::cuda);
    return bytes;
  }
  void limit(size_t bytes) {
    release_cached_memory(Device::cuda);
    device->limit(bytes);
  }

  std::optional<test::WatchedDevice> device;
  test::TinyRun tiny;
};

TEST_P(DeviceMemory, RunningOutSaysWhatTheRunNeedsAndWhatWouldHelp) {
  if (!has_device(Device::cuda)) return;
  const size_t short_of = too_little();
  const GptConfig config = tiny.in("short");
  limit(short_of);
  expect_error(Exit::failure,
               {"out of memory on the GPU: ", " asked for by ", " free; smaller batches",    // what
                "memory\n", "f32 masters", "activations, about", "total, about",             // the plan
                "less need, about\n", "train.recompute=inputs: ", "train.recompute=full: ",  // what helps
                "train.batch=2 train.micro_batches=4: "},
               [&] { train(tiny, config); });
  limit(SIZE_MAX);
  EXPECT_FALSE(std::filesystem::exists(config.run + "/snapshots"));
  EXPECT_EQ(bytes_of_file(config.run + "/metrics.jsonl"), "");

  // What goes on in the same folder, now that there is memory, is a run like any other.
  train(tiny, config);
  const GptConfig whole = tiny.in("whole");
  train(tiny, whole);
  EXPECT_EQ(weights(config), weights(whole));
  EXPECT_NE(weights(whole), "");
}

TEST_P(DeviceMemory, RunningOutLeavesTheLastSnapshotWhole) {
  if (!has_device(Device::cuda)) return;
  const size_t short_of = too_little();
  const GptConfig config = tiny.in("resumed");
  train(tiny, config);
  const std::string before = weights(config), metrics = bytes_of_file(config.run + "/metrics.jsonl");
  limit(short_of);
  expect_error(Exit::failure, {"out of memory on the GPU"}, [&] { train(tiny, config, {"train.steps=4"}); });
  limit(SIZE_MAX);
  EXPECT_EQ(list_directory(config.run + "/snapshots"), std::vector<std::string>{"step-00000002"});
  EXPECT_EQ(weights(config), before);
  EXPECT_EQ(bytes_of_file(config.run + "/metrics.jsonl"), metrics);
  train(tiny, config, {"train.steps=4"});
  EXPECT_NE(weights(config), before);
}

// The arithmetic refuses before anything is made.
TEST_P(DeviceMemory, WhatCannotFitIsRefusedWithItsPlan) {
  if (!has_device(Device::cuda)) return;
  GptConfig config = tiny.in("large");
  config.model.gpt_neox.hidden_size = 32768;
  config.model.gpt_neox.intermediate_size = 131072;
  config.model.gpt_neox.num_hidden_layers = 100;
  expect_error(Exit::usage, {"this run needs about", "the GPU has", "total, about", "train.recompute=full: "},
               [&] { train(tiny, config); });
  EXPECT_FALSE(std::filesystem::exists(config.run));
}

// Blocks that wait to be used again are given up before a kernel goes without.
TEST_P(DeviceMemory, IdleBlocksGoFirst) {
  if (!has_device(Device::cuda)) return;
  release_cached_memory(Device::cuda);
  constexpr size_t kBytes = size_t{1} << 20;
  limit(device->used() + kBytes);
  const DeviceTable& table = device_table(Device::cuda);
  static void* idle = nullptr;
  idle = table.allocate(kBytes, 4);
  const auto before = std::exchange(
      release_idle_memory, +[](Device) { device_table(Device::cuda).release(idle); });
  void* const block = allocate_beside(table, kBytes, 4, "a test");
  EXPECT_NE(block, nullptr);
  release_idle_memory = nullptr;
  expect_error(Exit::failure, {"out of memory on the GPU: 1 MiB asked for by a test, 0 bytes of "},
               [&] { allocate_beside(table, kBytes, 4, "a test"); });
  release_idle_memory = before;
  table.release(block);
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceMemory, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "AsHardware" : "AsItIs"; });

}  // namespace
}  // namespace hinoki::memory_test
