// Ranks between whose exchanges a test can do what it likes: wait, or take notes.
#pragma once
#include "train/communicator.h"

namespace hinoki::test {

class HeldCommunicator final : public Communicator {
 public:
  // `before(what)` is called by the thread that exchanges.
  HeldCommunicator(Communicator& ranks, std::function<void(const std::string& what)> before)
      : Communicator(ranks.rank(), ranks.size()), ranks_(ranks), before_(std::move(before)) {}
  void leave(const Error& why) noexcept override { ranks_.leave(why); }

 private:
  void carry(const std::string& what, std::span<const Bytes> send, std::span<const MutableBytes> receive) override {
    before_(what);
    ranks_.exchange(what, send, receive);
  }

  Communicator& ranks_;
  std::function<void(const std::string&)> before_;
};

}  // namespace hinoki::test
