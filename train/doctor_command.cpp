// hinoki doctor: is this machine, or the job that mpirun or srun has started, fit for a run? Says what is wrong and
// what to do.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "core/base/backend.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/device.h"
#include "core/base/file.h"
#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/nccl.h"
#include "core/base/parallel.h"
#include "train/commands.h"
#include "train/fleet_facts.h"
#include "train/fleet_trials.h"
#include "train/machine.h"
#include "train/progress.h"

namespace hinoki {
namespace {

// Megabytes a second of durable writes, as snapshots do them.
double durable_write_speed(const std::string& folder, int rank) {
  const std::string path = say(folder, "/hinoki-doctor-", getpid(), "-", rank);
  const std::string block(size_t{64} << 20, 'x');
  const double start = steady_seconds();
  write_file_durably(path, block);
  const double seconds = steady_seconds() - start;
  std::filesystem::remove(path);
  return double(block.size()) / seconds / 1e6;
}

// The GPU's name and memory, or why there is none.
std::string describe_gpu(int index) {
  const std::string why = why_no_cuda(index);
  if (!why.empty()) return "none (" + why + ")";
  const DeviceTable& gpu = device_table(Device::cuda);
  return say(gpu.name, ", ", mebibytes(double(gpu.free_memory())), " of ", mebibytes(double(gpu.total_memory())),
             " free");
}

std::string describe_nccl() {
  const nccl::Presence here = nccl::look_for_library();
  return here.found ? here.text : "none (" + here.text + ")";
}

std::vector<Finding> examine_machine(const std::string& folder, int rank) {
  const double memory = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE));
  const double space = double(std::filesystem::space(folder).available);
  const double speed = durable_write_speed(folder, rank);
  const MachineFigures m = machine_figures(true);
  return {{active_target() != Target::portable, "processor", cpu_name() + ", " + name_of(active_target()) + " kernels",
           "a CPU with AVX2 and FMA is several times faster"},
          {true, "threads", std::to_string(pool().threads()), ""},
          {true, "GPU", describe_gpu(local_rank()), ""},
          {true, "NCCL", describe_nccl(), ""},
          {memory > 2e9, "memory", mebibytes(memory), "the quickstart needs about 2 GB"},
          {space > 5e9, "free disk", folder + ": " + mebibytes(space),
           "snapshots take 12 bytes a parameter, and two are kept"},
          {speed > 20, "durable writes", std::to_string(int(speed)) + " MB/s", "snapshots will take long here"},
          {m.fma_gflops > 0, "arithmetic", std::to_string(int(m.fma_gflops)) + " GFLOP/s of multiply-adds", ""},
          {m.copy_gbs > 0, "memory speed", std::to_string(int(m.copy_gbs)) + " GB/s copied", ""}};
}

std::string to_text(const std::vector<Finding>& findings) {
  Json all = Json::array();
  for (const Finding& f : findings) all.push_back({f.good, f.name, f.value, f.remedy});
  return all.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<Finding> to_findings(const std::string& text) {
  std::vector<Finding> findings;
  for (const Json& f : parse_json(text, "findings")) findings.push_back({f.at(0), f.at(1), f.at(2), f.at(3)});
  return findings;
}

int print_findings(const std::vector<Finding>& findings) {
  int problems = 0;
  for (const Finding& f : findings) {
    std::printf("%-4s %-16s %s%s%s\n", f.good ? "ok" : "!!", f.name.c_str(), f.value.c_str(), f.good ? "" : " - ",
                f.good ? "" : f.remedy.c_str());
    problems += !f.good;
  }
  return problems;
}

// One rank of each host looks at the machine, then all look at each other. Rank 0 tells.
int examine(Communicator& ranks, const std::string& folder) {
  if (ranks.alone()) return print_findings(examine_machine(folder, 0));
  const std::vector<RankFacts> facts = gather_facts(ranks, facts_of_this_rank());
  const auto hosts = ranks_of_hosts(facts);
  const auto here = std::find_if(hosts.begin(), hosts.end(),
                                 [&](const auto& host) { return host.first == facts[size_t(ranks.rank())].host; });
  std::string mine = "[]";
  together(ranks, "looking at the machines", [&] {
    if (here->second[0] == ranks.rank()) mine = to_text(examine_machine(folder, ranks.rank()));
  });
  const std::vector<std::string> machines = gather(ranks, "findings", mine);
  const std::vector<Finding> trials = try_together(ranks, folder);
  if (!ranks.first()) return 0;
  int problems = 0;
  for (const auto& [host, its_ranks] : hosts) {
    std::printf("%s, %s\n", host.c_str(), name_ranks(its_ranks).c_str());
    problems += print_findings(to_findings(machines[size_t(its_ranks[0])]));
  }
  std::printf("%d ranks on %zu %s\n", ranks.size(), hosts.size(), hosts.size() == 1 ? "host" : "hosts");
  problems += print_findings(compare(facts));
  return problems + print_findings(trials);
}

void doctor(const std::string& folder, bool needs_gpu) {
  const std::unique_ptr<Communicator> ranks = join_ranks();
  if (!ranks->alone()) set_default_threads(threads_of_a_rank());
  try {
    together(*ranks, "beginning", [&] {
      require<Exit::usage>(is_directory(folder), folder, ": there is no such folder on ", host_name());
      if (needs_gpu) require_cuda(ranks->alone() ? 0 : local_rank());
    });
    const int problems = examine(*ranks, folder);
    require(problems == 0, "doctor: ", problems, problems == 1 ? " problem" : " problems", ", see above");
  } catch (const Error& e) {
    if (e.code == Exit::peer) ranks->leave(e);
    throw;
  }
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("doctor", "Check that this machine, or all that mpirun has started, is fit for a run");
  auto folder = std::make_shared<std::string>(".");
  command->add_option("--folder", *folder, "Where runs will be written")->type_name("FOLDER")->capture_default_str();
  auto device = std::make_shared<std::string>("cpu");
  command->add_option("--device", *device, "What runs will compute on: cpu, or cuda, which requires a GPU")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->callback([folder, device] { doctor(*folder, *device == "cuda"); });
}

}  // namespace hinoki
