// Sums gradients over slots and ranks so that the bits depend on neither the number of ranks nor that of threads.
//
// A step's micro-batches lie in S slots, contiguous and of equal number; rank r of W has the slots [r S/W, (r+1) S/W).
// A slot adds its micro-batches in order, straight into the gradient buffer. The S sums are then added as a balanced
// tree: the lower levels here, like the carries of a binary counter (log2(S/W) + 1 buffers), the upper ones across
// ranks. In the last micro-batch each bucket travels as soon as its gradients are complete: the last carries, one
// exchange in which every rank gets its part of the bucket from all, the sum in tree order, and, unless the optimizer
// is sharded (ZeRO-1), a second exchange that gives the sum to all. Buckets travel in one order, from the end of the
// buffer, where the backward pass begins, on a thread of their own.
//
// Under ZeRO-1 that thread also gives every rank's updated weights to all, from the beginning of the buffer, while the
// next step begins: whoever reads weights waits for those buckets that hold them (core/storage.h), and whoever has
// something to say to other ranks waits until all are there.
//
// On a GPU that thread has a stream of its own, and takes a bucket on when an event says that the backward pass's
// kernels have written it. NCCL carries the messages and the GPU adds them; without NCCL both is done in host memory.
#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "core/autograd.h"
#include "train/communicator_nccl.h"
#include "train/shards.h"

namespace hinoki {

class Reducer : Arrival {
 public:
  // `slots` of this rank: a power of two. `gather`: every rank needs the whole sum. `nccl`: for gradients on a GPU.
  Reducer(Parameters& parameters, Communicator& ranks, const Shards& shards, int64_t slots, bool gather, bool nccl);
  ~Reducer() override;
  Reducer(const Reducer&) = delete;

  // Brings the ranks' GPUs together. All ranks call it at the same time; whoever does not is brought by hook().
  void connect();

  // After every slot of a step but the last one.
  void finish_slot();
  // For the backward pass of the step's last micro-batch: sends buckets off while it runs. Empty if nobody waits.
  LeafHook hook();
  // After that pass: returns when the gradient buffer holds the sum (of this rank's parts, at least).
  void finish();

  // Every rank's part of the weights goes to all: after an update of a sharded optimizer. On a device it returns when
  // all are there.
  void gather_weights();
  double take_waited();          // seconds that readers of weights have waited for them since this was last asked
  int64_t buffer_bytes() const;  // beyond the gradient buffer itself

 private:
  void leaf_done(const std::shared_ptr<Leaf>& leaf);
  void post_ready();
  void work();
  void wait(size_t begin, size_t end) override;
  void let_gathers_go_first();
  void reduce(int64_t bucket);
  void gather_weights_of(int64_t bucket);
  void carry(const Piece& bucket, Stream stream);
  // `data`: a bucket where messages lie.
  void exchange_parts(int64_t bucket, std::byte* data);
  void gather_parts(int64_t bucket, const std::string& what, std::byte* data, size_t element);
  std::byte* at(Storage& s, int64_t element) const;
  bool on_host() const { return parameters_.device() == Device::cpu; }
  const DeviceTable& device() const { return device_table(parameters_.device()); }
  Device where() const { return nccl_ ? parameters_.device() : Device::cpu; }  // messages lie
  Communicator& carrier() { return nccl_ ? static_cast<Communicator&>(*gpus_) : ranks_; }

  Parameters& parameters_;
  Communicator& ranks_;
  const Shards& shards_;
  const int64_t slots_;
  const bool gather_, nccl_;
  const size_t element_;                          // bytes
  std::vector<std::shared_ptr<Storage>> levels_;  // of the counter
  int64_t finished_ = 0;                          // slots of this step
  std::shared_ptr<Storage> received_;             // [ranks, largest part], where messages lie
  std::shared_ptr<Storage> staging_;              // a bucket in host memory, for gradients on a GPU without NCCL
  int64_t largest_part_ = 0;
  std::optional<NcclCommunicator> gpus_;
  Stream stream_;               // of the thread, on a GPU
  std::vector<Event> written_;  // of each bucket: the backward pass is done with it

  // Of the backward pass that runs: leaves of each bucket that are still to come, and the next bucket to send off.
  std::vector<int64_t> open_;
  int64_t next_ = -1;
  bool hooked_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t posted_ = 0, reduced_ = 0;  // buckets, counted from the last one
  bool gathering_ = false;
  int64_t gathered_ = 0;  // buckets of weights, counted from the first one
  double waited_ = 0;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace hinoki
