#include "train/communicator_threads.h"

namespace hinoki {

void ThreadCommunicator::carry(const std::string& what, std::span<const Bytes> send,
                               std::span<const MutableBytes> receive) {
  const auto until = Clock::now() + deadline();
  std::unique_lock lock(hub_.mutex_);
  for (int r = 0; r < size(); ++r)
    if (r != rank() && !send[r].empty()) hub_.messages_[{rank(), r}].emplace_back(send[r].begin(), send[r].end());
  hub_.changed_.notify_all();
  for (int r = 0; r < size(); ++r) {
    if (r == rank() || receive[r].empty()) continue;
    auto& box = hub_.messages_[{r, rank()}];
    const bool in_time = hub_.changed_.wait_until(lock, until, [&] { return !box.empty() || !hub_.left_.empty(); });
    if (box.empty() && !hub_.left_.empty()) fail_left(hub_.left_.begin()->first, hub_.left_.begin()->second);
    if (!in_time) fail_waiting(what, {r});
    require(box.front().size() == receive[r].size(), what, ": rank ", r, " sent ", box.front().size(), " bytes, ",
            receive[r].size(), " expected");
    std::copy(box.front().begin(), box.front().end(), receive[r].begin());
    box.pop_front();
  }
}

void ThreadCommunicator::listen() {
  const std::lock_guard lock(hub_.mutex_);
  if (!hub_.left_.empty()) fail_left(hub_.left_.begin()->first, hub_.left_.begin()->second);
}

void ThreadCommunicator::leave(const Error& why) noexcept {
  const std::lock_guard lock(hub_.mutex_);
  hub_.left_.emplace(rank(), why);
  hub_.changed_.notify_all();
}

}  // namespace hinoki
