// A run that runs out of device memory: what it says, and that nothing of it is half-written.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "core/base/log.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_run.h"
#include "tests/support/watched_device.h"
#include "train/commands.h"
#include "train/config_file.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki {
namespace {

void train(const test::TinyRun& tiny, const GptConfig& config, const std::vector<std::string>& overrides = {}) {
  CLI::App app;
  add_train_command(app);
  std::vector<std::string> words{"train", tiny.folder.write("config.toml", print_config(config)).string()};
  words.insert(words.end(), overrides.begin(), overrides.end());
  std::reverse(words.begin(), words.end());
  app.parse(words);
}

std::string weights(const GptConfig& config) {
  const auto found = find_usable(config.run + "/snapshots").found;
  return found ? bytes_of_file(found->path + "/model.safetensors") : "";
}

class DeviceMemory : public testing::Test {
 protected:
  void SetUp() override {
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
    release_cached_memory(Device::cuda);
  }

  // Too little for a step: half of what it needs beside the model.
  size_t too_little() {
    release_cached_memory(Device::cuda);
    test::WatchedDevice device;
    hinoki::Run run(tiny.in("measured"));
    const size_t model = device.used();
    device.reset_peak();
    run.step();
    return model + (device.peak() - model) / 2;
  }

  test::TinyRun tiny;
};

TEST_F(DeviceMemory, RunningOutSaysWhatTheRunNeedsAndWhatWouldHelp) {
  if (!has_device(Device::cuda)) return;
  const size_t short_of = too_little();
  const GptConfig config = tiny.in("short");
  {
    test::WatchedDevice device;
    device.limit(short_of);
    expect_error(Exit::failure,
                 {"out of memory on the GPU: ", " asked for by ", " free; smaller batches",    // what
                  "memory\n", "f32 masters", "activations, about", "total, about",             // the plan
                  "less need, about\n", "train.recompute=inputs: ", "train.recompute=full: ",  // what helps
                  "train.batch=2 train.micro_batches=4: "},
                 [&] { train(tiny, config); });
  }
  EXPECT_FALSE(std::filesystem::exists(config.run + "/snapshots"));
  EXPECT_EQ(bytes_of_file(config.run + "/metrics.jsonl"), "");

  // What goes on in the same folder, now that there is memory, is a run like any other.
  train(tiny, config);
  const GptConfig whole = tiny.in("whole");
  train(tiny, whole);
  EXPECT_EQ(weights(config), weights(whole));
  EXPECT_NE(weights(whole), "");
}

TEST_F(DeviceMemory, RunningOutLeavesTheLastSnapshotWhole) {
  if (!has_device(Device::cuda)) return;
  const size_t short_of = too_little();
  const GptConfig config = tiny.in("resumed");
  train(tiny, config);
  const std::string before = weights(config), metrics = bytes_of_file(config.run + "/metrics.jsonl");
  {
    test::WatchedDevice device;
    device.limit(short_of);
    expect_error(Exit::failure, {"out of memory on the GPU"}, [&] { train(tiny, config, {"train.steps=4"}); });
  }
  EXPECT_EQ(list_directory(config.run + "/snapshots"), std::vector<std::string>{"step-00000002"});
  EXPECT_EQ(weights(config), before);
  EXPECT_EQ(bytes_of_file(config.run + "/metrics.jsonl"), metrics);
  train(tiny, config, {"train.steps=4"});
  EXPECT_NE(weights(config), before);
}

// The arithmetic refuses before anything is made.
TEST_F(DeviceMemory, WhatCannotFitIsRefusedWithItsPlan) {
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
TEST_F(DeviceMemory, IdleBlocksGoFirst) {
  if (!has_device(Device::cuda)) return;
  release_cached_memory(Device::cuda);
  constexpr size_t kBytes = size_t{1} << 20;
  test::WatchedDevice device;
  device.limit(device.used() + kBytes);
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

}  // namespace
}  // namespace hinoki
