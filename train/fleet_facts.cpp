#include "train/fleet_facts.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>

#include "core/base/backend.h"
#include "core/base/device.h"
#include "core/base/file.h"
#include "core/base/hash128.h"
#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/nccl.h"
#include "core/base/parallel.h"

namespace hinoki {
namespace {

std::string hash_of_file(const std::string& path) {
  Hasher128 hasher;
  read_blocks(path, 1 << 20, [&](int64_t, std::span<const std::byte> block) { hasher.add(block); });
  return hasher.hex();
}

// All that the program has loaded, by the kernel's own list.
std::map<std::string, std::string> loaded_libraries() {
  std::map<std::string, std::string> found;
  std::set<std::string> seen;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t at = line.find('/');
    if (at == line.npos) continue;
    const std::string path = line.substr(at), file = path.substr(path.rfind('/') + 1);
    const size_t so = file.find(".so");
    if (so == file.npos || !seen.insert(path).second || !is_file(path)) continue;
    found[file.substr(0, so + 3)] = file + " " + hash_of_file(path);
  }
  return found;
}

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int c = 0; c < CPU_SETSIZE; ++c)
    if (CPU_ISSET(c, &set)) cores.push_back(c);
  return cores;
}

// Which ranks have which value, most common value first: where more than one is there, the ranks differ.
std::vector<std::vector<int>> groups_by(const std::vector<std::string>& values) {
  std::map<std::string, std::vector<int>> by_value;
  for (size_t r = 0; r < values.size(); ++r) by_value[values[r]].push_back(int(r));
  std::vector<std::vector<int>> groups;
  for (auto& [value, ranks] : by_value) groups.push_back(ranks);
  std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  return groups;
}

// All ranks but those of the most common value, with their values.
std::string who_differs(const std::vector<RankFacts>& all, const std::vector<std::string>& values) {
  const auto groups = groups_by(values);
  std::string text;
  for (size_t g = 1; g < groups.size(); ++g)
    text += say(g > 1 ? "; " : "", name_ranks(groups[g]), " (", all[size_t(groups[g][0])].host, ") ",
                values[size_t(groups[g][0])], ", ", name_ranks(groups[0]), " ", values[size_t(groups[0][0])]);
  return text;
}

template <class Get>
std::vector<std::string> each(const std::vector<RankFacts>& all, Get get) {
  std::vector<std::string> values;
  for (const RankFacts& f : all) values.push_back(get(f));
  return values;
}

Finding compare_programs(const std::vector<RankFacts>& all) {
  const auto programs = each(all, [](const RankFacts& f) { return f.program; });
  const std::string differ = who_differs(all, programs);
  return {differ.empty(), "program", differ.empty() ? "the same file at all ranks, " + programs[0] : differ,
          "start the same build everywhere, best from a folder that all hosts share"};
}

Finding compare_libraries(const std::vector<RankFacts>& all) {
  std::set<std::string> names;
  for (const RankFacts& f : all)
    for (const auto& [name, file] : f.libraries) names.insert(name);
  std::string differ;
  for (const std::string& name : names) {
    const auto files = each(all, [&](const RankFacts& f) {
      const auto found = f.libraries.find(name);
      return found == f.libraries.end() ? "without " + name : found->second;
    });
    if (const std::string who = who_differs(all, files); !who.empty()) differ += (differ.empty() ? "" : "; ") + who;
  }
  return {differ.empty(), "libraries", differ.empty() ? say(names.size(), ", the same at all ranks") : differ,
          "bring all hosts to the same release (scripts/setup.sh, apt-get upgrade)"};
}

// AVX2 and AVX-512 give the same bits, the portable kernels others.
Finding compare_kernels(const std::vector<RankFacts>& all) {
  const auto kernels = each(all, [](const RankFacts& f) { return f.kernels; });
  const std::string differ = who_differs(all, kernels);
  const auto portable = std::count(kernels.begin(), kernels.end(), "portable");
  return {portable == 0 || size_t(portable) == kernels.size(), "kernels",
          differ.empty() ? kernels[0] + " at all ranks" : differ,
          "the bits of a run then depend on which rank is where; HINOKI_TARGET=portable makes them alike"};
}

// Threads must have cores: of a rank bound to one core, all threads share it.
void check_cores(const std::string& host, const std::vector<int>& ranks, const std::vector<RankFacts>& all,
                 std::vector<Finding>& findings) {
  std::set<int> cores;
  int threads = 0;
  for (const int r : ranks) {
    cores.insert(all[size_t(r)].cores.begin(), all[size_t(r)].cores.end());
    threads += all[size_t(r)].threads;
  }
  const int has = all[size_t(ranks[0])].machine_cores;
  const std::string value = say(host, ": ", name_ranks(ranks), " with ", threads, threads == 1 ? " thread" : " threads",
                                " on ", cores.size(), " of ", has, " cores");
  if (threads > int(cores.size()))
    findings.push_back({false, "cores", value, "fewer threads (--threads) or other binding (--bind none)"});
  else
    findings.push_back({2 * int(cores.size()) >= has, "cores", value,
                        "the rest is idle: mpirun binds ranks to single cores unless told otherwise (--bind none)"});
}

void check_gpus(const std::string& host, const std::vector<int>& ranks, const std::vector<RankFacts>& all,
                std::vector<Finding>& findings) {
  std::map<std::string, std::vector<int>> takers;
  for (const int r : ranks)
    if (!all[size_t(r)].gpu.empty()) takers[all[size_t(r)].gpu].push_back(r);
  if (takers.empty()) return;
  for (const auto& [gpu, who] : takers)
    if (who.size() > 1)
      return findings.push_back({false, "GPUs", say(host, ": ", name_ranks(who), " take ", gpu),
                                 "start one rank for each GPU, all of which every rank may see"});
  const bool all_have = std::all_of(ranks.begin(), ranks.end(), [&](int r) { return !all[size_t(r)].gpu.empty(); });
  findings.push_back({all_have, "GPUs", say(host, ": ", takers.size(), " for ", name_ranks(ranks)),
                      "start as many ranks as the host has GPUs"});
}

}  // namespace

std::string host_name() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return host;
}

RankFacts facts_of_this_rank() {
  RankFacts f;
  f.host = host_name();
  f.program = hash_of_file("/proc/self/exe");
  if (has_device(Device::cuda)) nccl::look_for_library();  // to stand among what is loaded
  f.libraries = loaded_libraries();
  f.kernels = name_of(active_target());
  f.cores = allowed_cores();
  f.machine_cores = int(sysconf(_SC_NPROCESSORS_ONLN));
  f.threads = pool().threads();
  if (has_device(Device::cuda)) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    f.gpu = say("GPU ", launched() ? local_rank() : 0, visible ? say(" of those numbered ", visible) : "");
  }
  return f;
}

std::vector<RankFacts> gather_facts(Communicator& ranks, const RankFacts& mine) {
  const Json json = {{"host", mine.host},       {"program", mine.program}, {"libraries", mine.libraries},
                     {"kernels", mine.kernels}, {"cores", mine.cores},     {"machine_cores", mine.machine_cores},
                     {"threads", mine.threads}, {"gpu", mine.gpu}};
  std::vector<RankFacts> all;
  for (const std::string& text : gather(ranks, "facts", json.dump(-1, ' ', false, Json::error_handler_t::replace))) {
    const Json j = parse_json(text, say("facts of rank ", all.size()));
    all.push_back({.host = j.at("host"),
                   .program = j.at("program"),
                   .libraries = j.at("libraries"),
                   .kernels = j.at("kernels"),
                   .cores = j.at("cores"),
                   .machine_cores = j.at("machine_cores"),
                   .threads = j.at("threads"),
                   .gpu = j.at("gpu")});
  }
  return all;
}

std::vector<std::pair<std::string, std::vector<int>>> ranks_of_hosts(const std::vector<RankFacts>& all) {
  std::vector<std::pair<std::string, std::vector<int>>> hosts;
  for (size_t r = 0; r < all.size(); ++r) {
    const auto here = std::find_if(hosts.begin(), hosts.end(), [&](const auto& h) { return h.first == all[r].host; });
    (here == hosts.end() ? hosts.emplace_back(all[r].host, std::vector<int>()) : *here).second.push_back(int(r));
  }
  return hosts;
}

std::string name_ranks(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size(); ++i) text += (i ? ", " : "") + std::to_string(ranks[i]);
  return text;
}

std::vector<Finding> compare(const std::vector<RankFacts>& all) {
  std::vector<Finding> findings = {compare_programs(all), compare_libraries(all), compare_kernels(all)};
  for (const auto& [host, ranks] : ranks_of_hosts(all)) {
    check_cores(host, ranks, all, findings);
    check_gpus(host, ranks, all, findings);
  }
  return findings;
}

}  // namespace hinoki
