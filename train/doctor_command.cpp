// hinoki doctor: is this machine fit for a run? Says what is wrong and what to do.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "core/base/backend.h"
#include "core/base/check.h"
#include "core/base/device.h"
#include "core/base/file.h"
#include "core/base/isa.h"
#include "core/base/parallel.h"
#include "train/commands.h"
#include "train/machine.h"
#include "train/progress.h"

namespace hinoki {
namespace {

// Megabytes a second of durable writes, as snapshots do them.
double durable_write_speed(const std::string& folder) {
  const std::string path = folder + "/hinoki-doctor-" + std::to_string(getpid());
  const std::string block(size_t{64} << 20, 'x');
  const auto start = std::chrono::steady_clock::now();
  write_file_durably(path, block);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::filesystem::remove(path);
  return double(block.size()) / seconds / 1e6;
}

// The GPU's name and memory, or why there is none.
std::string describe_gpu() {
  const std::string why = why_no_cuda();
  if (!why.empty()) return "none (" + why + ")";
  const DeviceTable& gpu = device_table(Device::cuda);
  return say(gpu.name, ", ", mebibytes(double(gpu.free_memory())), " of ", mebibytes(double(gpu.total_memory())),
             " free");
}

void check(const std::string& folder, bool needs_gpu) {
  if (needs_gpu) require_cuda();
  int problems = 0;
  const auto row = [&](bool good, const char* name, const std::string& value, const char* remedy) {
    std::printf("%-4s %-16s %s%s%s\n", good ? "ok" : "!!", name, value.c_str(), good ? "" : " - ", good ? "" : remedy);
    problems += !good;
  };
  row(active_target() != Target::portable, "processor", cpu_name() + ", " + name_of(active_target()) + " kernels",
      "a CPU with AVX2 and FMA is several times faster");
  row(true, "threads", std::to_string(pool().threads()), "");
  row(true, "GPU", describe_gpu(), "");
  const double memory = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE));
  row(memory > 2e9, "memory", mebibytes(memory), "the quickstart needs about 2 GB");
  const double space = double(std::filesystem::space(folder).available);
  row(space > 5e9, "free disk", folder + ": " + mebibytes(space),
      "snapshots take 12 bytes a parameter, and two are kept");
  const double speed = durable_write_speed(folder);
  row(speed > 20, "durable writes", std::to_string(int(speed)) + " MB/s", "snapshots will take long here");
  const MachineFigures m = machine_figures(true);
  row(m.fma_gflops > 0, "arithmetic", std::to_string(int(m.fma_gflops)) + " GFLOP/s of multiply-adds", "");
  row(m.copy_gbs > 0, "memory speed", std::to_string(int(m.copy_gbs)) + " GB/s copied", "");
  require(problems == 0, "doctor: ", problems, problems == 1 ? " problem" : " problems", ", see above");
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  auto* command = app.add_subcommand("doctor", "Check that this machine is fit for a run");
  auto folder = std::make_shared<std::string>(".");
  command->add_option("--folder", *folder, "Where runs will be written")->check(CLI::ExistingDirectory);
  auto device = std::make_shared<std::string>("cpu");
  command->add_option("--device", *device, "What runs will compute on: cuda requires a GPU")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  command->callback([folder, device] { check(*folder, *device == "cuda"); });
}

}  // namespace hinoki
