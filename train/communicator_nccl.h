// The same ranks, for messages in the memory of their GPUs: NCCL carries them, on a stream of its own, while the host's
// communicator does all that NCCL cannot. It brings the ranks together before each exchange, so that whoever does not
// come is named, so that nobody starts what others expect otherwise (NCCL would hang, or spoil memory), and so that no
// GPU spins for a rank that is late.
#pragma once
#include "core/base/device.h"
#include "core/base/nccl.h"
#include "train/communicator.h"

namespace hinoki {

class NcclCommunicator final : public Communicator {
 public:
  // All ranks of `host` make theirs at the same time. Exit::usage where one of them has no NCCL. Deadline and step are
  // those of `host`, which must not be used by others during an exchange. An exchange begins when the stream has done
  // what it was given before, and has ended when exchange() returns.
  NcclCommunicator(Communicator& host, Stream stream);
  ~NcclCommunicator() override;
  NcclCommunicator(const NcclCommunicator&) = delete;

  std::string name(int rank) const override { return host_.name(rank); }
  void leave(const Error&) noexcept override { disconnect(); }  // the host's communicator tells the others

 private:
  void carry(const std::string& what, std::span<const Bytes> send, std::span<const MutableBytes> receive) override;
  void keep(MutableBytes to, Bytes from) override;
  // What every rank tells every other one before a message; gives what the others told.
  std::vector<uint64_t> meet(const std::string& what, const std::vector<uint64_t>& mine);
  void connect(const nccl::UniqueId& id);
  void check(nccl::Result result, const std::string& what);
  // Waits until it has been begun, or until done() as well.
  void settle(const std::string& what);
  void wait(const std::string& what, const std::function<bool()>& done);
  void judge(nccl::Result state, const std::string& what);  // throws where it is an error
  [[noreturn]] void give_up(const std::string& what, const std::string& why);
  std::string explain(nccl::Result result) const;
  void finalize() noexcept;
  void disconnect() noexcept;

  Communicator& host_;
  const DeviceTable& device_;
  const nccl::Functions* library_ = nullptr;
  nccl::Comm* comm_ = nullptr;
  bool whole_ = true;  // no exchange has failed in the middle
  const Stream stream_;
  Event sent_;
};

}  // namespace hinoki
