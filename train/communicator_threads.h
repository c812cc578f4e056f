// Ranks that are threads of one process: for tests of everything that ranks do together.
#pragma once
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

#include "train/communicator.h"

namespace hinoki {

// Where the threads leave messages for each other.
class ThreadHub {
 public:
  explicit ThreadHub(int ranks) : ranks_(ranks) {}
  int ranks() const { return ranks_; }

 private:
  friend class ThreadCommunicator;
  const int ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> messages_;  // from, to
  std::map<int, Error> left_;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(ThreadHub& hub, int rank) : Communicator(rank, hub.ranks()), hub_(hub) {}
  void leave(const Error& why) noexcept override;
  void listen() override;

 private:
  void carry(const std::string& what, std::span<const Bytes> send, std::span<const MutableBytes> receive) override;
  ThreadHub& hub_;
};

}  // namespace hinoki
