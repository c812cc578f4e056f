// The words that kernels note faults in, by way of the device table.
#include <vector>

#include "core/base/device.h"
#include "kernels/cuda/fault.h"

namespace hinoki::kernels {
namespace {

constexpr size_t kWords = 64;  // different (stream, kind, limit) between two checks
constexpr unsigned long long kNone = ~0ull;

class Faults {
 public:
  Faults() = default;
  Faults(const Faults&) = delete;
  ~Faults() {
    if (words_ != nullptr) device_->release(words_);
  }

  FaultWord word(Stream stream, const FaultKind& kind, int64_t limit) {
    for (size_t i = 0; i < uses_.size(); ++i)
      if (uses_[i].stream == stream.handle && uses_[i].kind == &kind && uses_[i].limit == limit) {
        uses_[i].launched = true;
        return words_ + i;
      }
    if (uses_.size() == kWords) {
      for (size_t i = 0; i < kWords; ++i) check({uses_[i].stream});
      uses_.clear();
    }
    if (words_ == nullptr) {
      device_ = &device_table(Device::cuda);
      words_ =
          static_cast<FaultWord>(allocate_beside(*device_, kWords * sizeof kNone, sizeof kNone, "what kernels report"));
      device_->fill(words_, 0xff, kWords * sizeof kNone, stream);
      device_->synchronize(stream);  // other streams will write here, too
    }
    uses_.push_back({stream.handle, &kind, limit, true});
    return words_ + uses_.size() - 1;
  }

  void check(Stream stream) {
    bool launched = false;
    for (Use& use : uses_) {
      if (use.stream != stream.handle) continue;
      launched |= use.launched;
      use.launched = false;
    }
    if (!launched) return;
    unsigned long long found[kWords];
    device_->copy_out(found, words_, uses_.size() * sizeof kNone, stream);  // which calls this again, for nothing
    const auto is_fault = [&](size_t i) { return uses_[i].stream == stream.handle && found[i] != kNone; };
    size_t first = uses_.size();
    for (size_t i = uses_.size(); i-- > 0;) {
      if (!is_fault(i)) continue;
      device_->fill(words_ + i, 0xff, sizeof kNone, stream);
      first = i;
    }
    if (first == uses_.size()) return;
    const Use& use = uses_[first];
    throw Error(use.kind->code,
                use.kind->describe({int64_t(found[first] >> 32), use.limit, int32_t(uint32_t(found[first]))}));
  }

 private:
  struct Use {
    void* stream;
    const FaultKind* kind;
    int64_t limit;
    bool launched;  // since the last check
  };
  const DeviceTable* device_ = nullptr;
  FaultWord words_ = nullptr;
  std::vector<Use> uses_;
};

thread_local Faults faults;  // those of a rank that is a thread are its own

}  // namespace

FaultWord fault_word(Stream stream, const FaultKind& kind, int64_t limit) { return faults.word(stream, kind, limit); }
void check_faults(Stream stream) { faults.check(stream); }

}  // namespace hinoki::kernels
