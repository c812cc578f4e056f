// Ranks that train together. All they ever say to each other is one kind of act, an exchange of messages between every
// two of them; gathering, broadcasting and waiting for each other are exchanges of special shapes.
//
// Each exchange has a name and a deadline: a rank that does not answer in time is named, with the step and the name, in
// an Error of Exit::peer. A rank that fails says so to the others (leave), which fail at once with its reason and its
// exit code. Exchanges are called by all ranks in the same order, by one thread of a rank at a time.
#pragma once
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/check.h"

namespace hinoki {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

class Communicator {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~Communicator() = default;
  int rank() const { return rank_; }
  int size() const { return size_; }
  bool first() const { return rank_ == 0; }
  bool alone() const { return size_ == 1; }
  virtual std::string name(int rank) const { return "rank " + std::to_string(rank); }  // and its host, where known

  // Rank r gets send[r], and receive[r] is filled with what rank r sends here. Both sides must name equal sizes; empty
  // messages are not sent. A message to oneself is copied.
  void exchange(const std::string& what, std::span<const Bytes> send, std::span<const MutableBytes> receive);

  // Tells the other ranks that this one ends. Nothing is exchanged afterwards. Never throws.
  virtual void leave(const Error& why) noexcept = 0;

  void set_deadline(double seconds) { deadline_ = std::chrono::duration<double>(seconds); }
  // Where a thread of this rank has exchanges of its own to make (train/reducer.h): called before every exchange, by
  // whichever thread, so that all others can be held back until they are made. Their order is then the same everywhere.
  void before_exchanges(std::function<void()> f) { before_ = std::move(f); }
  Clock::duration deadline() const { return std::chrono::duration_cast<Clock::duration>(deadline_); }
  void set_step(int64_t step) { step_ = step; }  // that messages of failures name
  // Throws what a rank that has left the others gave as its reason; for those who wait for something else than an
  // exchange, between two exchanges.
  virtual void listen() {}
  // The Error of a rank that waits in `what` for `who`, in vain.
  Error silence(const std::string& what, const std::string& who) const;
  // Called, perhaps by another thread, where this process has to end without returning from an exchange.
  void when_lost(std::function<void(const Error&)> f) { when_lost_ = std::move(f); }

 protected:
  Communicator(int rank, int size) : rank_(rank), size_(size) {}

  // The messages between different ranks; sizes were checked.
  virtual void carry(const std::string& what, std::span<const Bytes> send, std::span<const MutableBytes> receive) = 0;
  // Where messages lie: a message to oneself.
  virtual void keep(MutableBytes to, Bytes from) { std::memcpy(to.data(), from.data(), to.size()); }
  // The Error of ranks that did not answer in time, or that said they leave.
  [[noreturn]] void fail_waiting(const std::string& what, const std::vector<int>& silent) const;
  [[noreturn]] static void fail_left(int rank, const Error& why);
  std::function<void(const Error&)> when_lost_;

 private:
  std::function<void()> before_;
  int rank_, size_;
  std::chrono::duration<double> deadline_{300};
  std::atomic<int64_t> step_ = -1;
};

// A group of one.
class Solo final : public Communicator {
 public:
  Solo() : Communicator(0, 1) {}
  void leave(const Error&) noexcept override {}

 private:
  void carry(const std::string&, std::span<const Bytes>, std::span<const MutableBytes>) override {}
};

// The ranks that mpirun or srun has started; Solo if this process was started alone. Exit::usage if it was started as
// one of several and cannot find the others.
std::unique_ptr<Communicator> join_ranks();
// Was this process started by mpirun or srun?
bool launched();
// This process among those of its job on this machine, by what the launcher says, and how many they are.
int local_rank();
int local_ranks();
// Threads for a rank so that those of this machine share its cores, where the launcher has not dealt them out already.
int threads_of_a_rank();

// Every rank's message, in the order of ranks. Their sizes may differ.
std::vector<std::string> gather(Communicator& ranks, const std::string& what, std::string_view mine);
template <class T>
std::vector<T> gather_values(Communicator& ranks, const std::string& what, const T& mine) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<T> all(size_t(ranks.size()));
  std::vector<MutableBytes> receive;
  for (T& value : all) receive.push_back(std::as_writable_bytes(std::span(&value, 1)));
  const std::vector<Bytes> send(all.size(), std::as_bytes(std::span(&mine, 1)));
  ranks.exchange(what, send, receive);
  return all;
}
// What rank 0 says, at every rank.
std::string broadcast(Communicator& ranks, const std::string& what, std::string_view of_first);
void barrier(Communicator& ranks, const std::string& what);

// Runs f at every rank. If it fails anywhere, it fails everywhere: with the Error of the first rank that failed.
void together(Communicator& ranks, const std::string& what, const std::function<void()>& f);

// Adds as kernels::tree_sum does: (x0 + x1) + (x2 + x3). The count is a power of two.
double tree_sum(std::span<const double> x);

}  // namespace hinoki
