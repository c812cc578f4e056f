// What must be alike, or apart, in the ranks of a job: programs, libraries, kernels; cores and GPUs.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "train/communicator.h"
#include "train/finding.h"

namespace hinoki {

struct RankFacts {
  std::string host;
  std::string program;                           // hash of its file
  std::map<std::string, std::string> libraries;  // libmpi.so -> "libmpi.so.40.30.4 " and the hash of its file
  std::string kernels;                           // the instruction set they are compiled for
  std::vector<int> cores;                        // that it may run on
  int machine_cores = 0, threads = 0;
  std::string gpu;  // which of the host's it takes; empty: none
};

std::string host_name();
RankFacts facts_of_this_rank();
// Of every rank, at every rank.
std::vector<RankFacts> gather_facts(Communicator& ranks, const RankFacts& mine);

// "alpha" -> its ranks, in the order of ranks.
std::vector<std::pair<std::string, std::vector<int>>> ranks_of_hosts(const std::vector<RankFacts>& all);
// "rank 0", "ranks 1, 2"
std::string name_ranks(const std::vector<int>& ranks);

std::vector<Finding> compare(const std::vector<RankFacts>& all);

}  // namespace hinoki
