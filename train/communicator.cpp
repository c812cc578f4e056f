#include "train/communicator.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "core/base/parallel.h"
#include "train/communicator_mpi.h"

namespace hinoki {
namespace {

int number_in_environment(std::initializer_list<const char*> names, int otherwise) {
  for (const char* name : names)
    if (const char* value = std::getenv(name); value && std::atoi(value) > 0) return std::atoi(value);
  return otherwise;
}

// SLURM_NTASKS is not asked: it stands in the environment of a batch script, too, which is one process.
int launched_ranks() {
  return number_in_environment({"OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "PMI_SIZE"},
                               std::getenv("PMIX_RANK") ? 2 : 0);
}

}  // namespace

void Communicator::exchange(const std::string& what, std::span<const Bytes> send,
                            std::span<const MutableBytes> receive) {
  require(int(send.size()) == size_ && int(receive.size()) == size_, what, ": ", send.size(), " and ", receive.size(),
          " messages among ", size_, " ranks");
  const Bytes from = send[size_t(rank_)];
  const MutableBytes to = receive[size_t(rank_)];
  require(from.size() == to.size(), what, ": ", from.size(), " bytes to oneself, ", to.size(), " expected");
  if (!to.empty() && to.data() != from.data()) keep(to, from);
  if (alone()) return;
  if (before_) before_();
  carry(what, send, receive);
}

Error Communicator::silence(const std::string& what, const std::string& who) const {
  const int64_t step = step_;
  return {Exit::peer, say(step >= 0 ? say("step ", step, ": ") : "", "no answer from ", who, " within ",
                          deadline_.count(), " s, waiting in \"", what, "\" at ", name(rank_),
                          ". It has died, hangs or cannot be reached; start again, and the run goes on from its newest "
                          "snapshot (train.deadline sets the patience)")};
}

void Communicator::fail_waiting(const std::string& what, const std::vector<int>& silent) const {
  std::string who;
  for (const int r : silent) who += (who.empty() ? "" : ", ") + name(r);
  throw silence(what, who);
}

void Communicator::fail_left(int rank, const Error& why) {
  throw Error(why.code, say("rank ", rank, ": ", why.what()));
}

std::unique_ptr<Communicator> join_ranks() {
  if (launched_ranks() <= 1) return std::make_unique<Solo>();
  require<Exit::usage>(join_mpi != nullptr,
                       "a launcher has started several processes, but this build has no MPI: install libopenmpi-dev "
                       "and build again, or start one process");
  return join_mpi();
}

bool launched() { return launched_ranks() > 0; }

int local_rank() {
  return number_in_environment({"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID", "MPI_LOCALRANKID"}, 0);
}

int local_ranks() {
  return number_in_environment({"OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_STEP_TASKS_PER_NODE", "MPI_LOCALNRANKS"}, 1);
}

int threads_of_a_rank() {
  const int machine = int(std::thread::hardware_concurrency());
  return std::max(1, std::min(hardware_threads(), machine / local_ranks()));
}

std::vector<std::string> gather(Communicator& ranks, const std::string& what, std::string_view mine) {
  const std::vector<uint64_t> sizes = gather_values(ranks, what + ", sizes", uint64_t(mine.size()));
  std::vector<std::string> all;
  for (const uint64_t size : sizes) all.emplace_back(size, '\0');
  std::vector<MutableBytes> receive;
  for (std::string& text : all) receive.push_back(std::as_writable_bytes(std::span(text)));
  ranks.exchange(what, std::vector<Bytes>(all.size(), std::as_bytes(std::span(mine))), receive);
  return all;
}

std::string broadcast(Communicator& ranks, const std::string& what, std::string_view of_first) {
  return gather(ranks, what, ranks.first() ? of_first : std::string_view())[0];
}

void barrier(Communicator& ranks, const std::string& what) { gather_values(ranks, what, char(0)); }

void together(Communicator& ranks, const std::string& what, const std::function<void()>& f) {
  if (ranks.alone()) return f();
  std::string failure;
  try {
    f();
  } catch (const Error& e) {
    failure = say(char('A' + int(e.code)), e.what());
  } catch (const std::exception& e) {
    failure = say(char('A' + int(Exit::failure)), e.what());
  }
  const std::vector<std::string> failures = gather(ranks, what, failure);
  for (size_t r = 0; r < failures.size(); ++r)
    if (!failures[r].empty()) {
      const std::string text = failures[r].substr(1);
      throw Error(Exit(failures[r][0] - 'A'), int(r) == ranks.rank() ? text : say("rank ", r, ": ", text));
    }
}

double tree_sum(std::span<const double> x) {
  if (x.size() == 1) return x[0];
  return tree_sum(x.first(x.size() / 2)) + tree_sum(x.subspan(x.size() / 2));
}

}  // namespace hinoki
