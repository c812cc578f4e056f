#include "core/storage.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "core/base/arena.h"
#include "core/base/device.h"
#include "core/base/log.h"
#include "core/base/parallel.h"
#include "core/base/scratch.h"

namespace hinoki {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
constexpr size_t kGuard = 256;
constexpr unsigned char kPattern = 0xC5;
constexpr int64_t kFilledAtOnce = int64_t{4} << 20;
constexpr size_t kSlack = size_t{64} << 20;  // so much idle memory is never too much

struct Block {
  void* data = nullptr;
  size_t bytes = 0;
};

// Work on a device runs in the order of one stream, so a block given back may be handed out at once: whoever gets it
// uses it after everything that was asked of it before. On the CPU blocks are cut out of an arena; a GPU's are kept whole.
class BlockCache {
 public:
  explicit BlockCache(Device device) : device_(device) {}

  Block take(size_t bytes, size_t element) {
    const std::lock_guard lock(mutex_);
    // What is cached was live once, in other sizes; only a footprint well above what was ever live at once is waste.
    if (use_.live + cached() + bytes > highest_ + highest_ / 4 + kSlack && grows_for(bytes)) drop();
    Block block = obtain(bytes, element);
    if (!block.data && cached() > 0) {
      drop();
      block = obtain(bytes, element);
    }
    if (!block.data)
      fail_out_of_memory(device_, bytes, say("a tensor beside ", use_.live >> 20, " MiB of others"));
    use_.live += block.bytes;
    use_.peak = std::max(use_.peak, use_.live);
    highest_ = std::max(highest_, use_.live);
    return block;
  }

  void give_back(Block block) {
    const std::lock_guard lock(mutex_);
    use_.live -= block.bytes;
    if (!reuses())
      discard(block.data);
    else if (device_ == Device::cpu)
      arena_.give_back(block.data, block.bytes);
    else
      use_.cached += free_.emplace(block.bytes, block.data)->first;
  }

  MemoryUse use() {
    const std::lock_guard lock(mutex_);
    return {use_.live, use_.peak, cached()};
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    use_.peak = use_.live;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    drop();
  }

 private:
  // A cached block would hide a use after free from those who look for one.
  bool reuses() const { return device_ == Device::cpu ? !kSanitized : !device_table(device_).every_block_its_own; }
  size_t cached() const { return device_ == Device::cpu ? arena_.cached() : use_.cached; }

  // A block of a GPU that is at most a quarter too large is reused: steps repeat themselves, so most sizes are found exactly.
  std::multimap<size_t, void*>::iterator fitting(size_t bytes) {
    const auto found = free_.lower_bound(bytes);
    return found != free_.end() && found->first <= bytes + bytes / 4 ? found : free_.end();
  }
  bool grows_for(size_t bytes) {
    return device_ == Device::cpu ? arena_.grows_for(bytes) : fitting(bytes) == free_.end();
  }
  Block obtain(size_t bytes, size_t element) {
    if (device_ == Device::cpu) return {reuses() ? arena_.take(bytes) : std::aligned_alloc(kAlignment, bytes), bytes};
    const auto found = fitting(bytes);
    if (found == free_.end()) return {device_table(device_).allocate(bytes, element), bytes};
    const Block block{found->second, found->first};
    free_.erase(found);
    use_.cached -= block.bytes;
    return block;
  }
  void discard(void* data) { device_ == Device::cpu ? std::free(data) : device_table(device_).release(data); }
  void drop() {
    arena_.drop();
    for (const auto& [bytes, data] : free_) discard(data);
    free_.clear();
    use_.cached = 0;
  }

  Device device_;
  std::mutex mutex_;
  Arena arena_;                        // of the CPU
  std::multimap<size_t, void*> free_;  // of a GPU
  MemoryUse use_;
  size_t highest_ = 0;  // of use_.live, ever
};

BlockCache& cache(Device device) {
  static BlockCache* const caches[] = {new BlockCache(Device::cpu),
                                       new BlockCache(Device::cuda)};  // outlive every static tensor
  return *caches[int(device)];
}

const bool releases = (release_idle_memory = release_cached_memory, true);

// A debug build puts them around blocks of a device; around those of the CPU its sanitizers look.
#if defined(HINOKI_DEBUG)
constexpr bool kAroundDeviceBlocks = true;
#else
constexpr bool kAroundDeviceBlocks = false;
#endif
bool guard_bands = false;
std::atomic<int64_t> broken_guards{0};

struct Guarded {
  Block block;
  size_t bytes;
  Device device;

  // What cannot be looked at counts as intact: the device has failed, and says so to whoever asks next.
  bool intact(size_t offset) const noexcept {
    const char* const at = static_cast<char*>(block.data) + offset;
    std::array<unsigned char, kGuard> band;
    if (device == Device::cpu)
      std::memcpy(band.data(), at, kGuard);
    else if (!device_table(device).peek(band.data(), at, kGuard, {}))
      return true;
    return std::all_of(band.begin(), band.end(), [](unsigned char c) { return c == kPattern; });
  }
  ~Guarded() {
    try {
      if (!intact(0) || !intact(kGuard + bytes)) {
        ++broken_guards;
        warn("a kernel wrote outside a block of ", bytes, " bytes");
      }
      cache(device).give_back(block);
    } catch (const std::bad_alloc&) {  // no memory for a message or a list: the block is lost, and nothing else
    }
  }
};

}  // namespace

void fill_bytes(void* to, unsigned char value, size_t bytes, Device device) {
  if (bytes == 0) return;
  if (device != Device::cpu) return device_table(device).fill(to, value, bytes, {});
  // By all threads: a new block has no pages yet, which the system clears as they are touched.
  parallel_blocks(int64_t(bytes), kFilledAtOnce, [&](int64_t begin, int64_t end) {
    std::memset(static_cast<char*>(to) + begin, value, size_t(end - begin));
  });
}

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  if (to_device == Device::cpu && from_device == Device::cpu)
    std::memcpy(to, from, bytes);
  else if (to_device == Device::cpu)
    device_table(from_device).copy_out(to, from, bytes, {});
  else if (from_device == Device::cpu)
    device_table(to_device).copy_in(to, from, bytes, {});
  else
    device_table(to_device).copy(to, from, bytes, {});
}

std::shared_ptr<Storage> Storage::allocate(size_t bytes, Device device, size_t element) {
  auto storage = reserve(device);
  storage->fulfil(bytes, element);
  return storage;
}

std::shared_ptr<Storage> Storage::reserve(Device device) { return std::shared_ptr<Storage>(new Storage(device)); }

void Storage::fulfil(size_t bytes, size_t element) {
  require(data_ == nullptr, "storage is already there");
  const bool guarded = device_ == Device::cpu
                           ? guard_bands
                           : (guard_bands || kAroundDeviceBlocks) && !device_table(device_).every_block_its_own;
  const size_t extra = guarded ? 2 * kGuard : 0;
  // Blocks that are never reused keep their exact size: whoever checks their bounds sees every byte.
  const bool exact = device_ != Device::cpu && device_table(device_).every_block_its_own;
  const Block block =
      cache(device_).take(exact ? std::max(bytes, element) : (bytes + extra + 511) / 512 * 512, element);
  bytes_ = bytes;
  data_ = block.data;
  if (guarded) {
    data_ = static_cast<char*>(block.data) + kGuard;
    fill_bytes(block.data, kPattern, kGuard, device_);
    fill_bytes(static_cast<char*>(data_) + bytes, kPattern, kGuard, device_);
    owner_ = std::make_shared<Guarded>(block, bytes, device_);
  } else {
    owner_ = std::shared_ptr<const void>(block.data,
                                         [block, device = device_](const void*) { cache(device).give_back(block); });
  }
}

void Storage::swap(Storage& other) {
  require(device_ == other.device_ && bytes_ == other.bytes_, "swap: ", bytes_, " bytes on the ", device_, " and ",
          other.bytes_, " on the ", other.device_);
  std::swap(data_, other.data_);
  std::swap(owner_, other.owner_);
  touch();
  other.touch();
}

std::shared_ptr<Storage> Storage::wrap(void* data, size_t bytes, std::shared_ptr<const void> owner) {
  auto storage = reserve();
  storage->data_ = data;
  storage->bytes_ = bytes;
  storage->owner_ = std::move(owner);
  return storage;
}

MemoryUse memory_use(Device device) { return cache(device).use(); }
void reset_peak_memory(Device device) { cache(device).reset_peak(); }
void release_cached_memory(Device device) { cache(device).release(); }
void set_guard_bands(bool on) { guard_bands = on; }
int64_t broken_guard_bands() { return broken_guards; }

}  // namespace hinoki
