#include "core/storage.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "core/base/log.h"
#include "core/base/scratch.h"

namespace hinoki {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCache = false;  // a cached block would hide a use after free
#else
constexpr bool kCache = true;
#endif
constexpr size_t kGuard = 256;
constexpr unsigned char kPattern = 0xC5;
constexpr size_t kHuge = size_t{2} << 20;  // from here on, ask for huge pages

struct Block {
  void* data = nullptr;
  size_t bytes = 0;
};

class Cache {
 public:
  Block take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    // A block at most a quarter too large is reused: steps repeat themselves, so most sizes are found exactly.
    const auto found = free_.lower_bound(bytes);
    Block block;
    if (found != free_.end() && found->first <= bytes + bytes / 4) {
      block = {found->second, found->first};
      free_.erase(found);
      use_.cached -= block.bytes;
    } else {
      // What is cached was live once, in other sizes; only a footprint well above what was ever live at once is waste.
      if (use_.live + use_.cached + bytes > highest_ + highest_ / 4 + 32 * kHuge) drop();
      block = {fresh(bytes), bytes};
    }
    use_.live += block.bytes;
    use_.peak = std::max(use_.peak, use_.live);
    highest_ = std::max(highest_, use_.live);
    return block;
  }

  void give_back(Block block) {
    const std::lock_guard lock(mutex_);
    use_.live -= block.bytes;
    if (!kCache) return std::free(block.data);
    free_.emplace(block.bytes, block.data);
    use_.cached += block.bytes;
  }

  MemoryUse use() {
    const std::lock_guard lock(mutex_);
    return use_;
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
  void* fresh(size_t bytes) {
    const size_t alignment = bytes >= kHuge ? kHuge : kAlignment;
    void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    require(data != nullptr, "out of memory: ", bytes, " bytes wanted, ", use_.live,
            " in use; a smaller micro_batch or recompute needs less");
    if (bytes >= kHuge) madvise(data, bytes, MADV_HUGEPAGE);
    return data;
  }
  void drop() {
    for (const auto& [bytes, data] : free_) std::free(data);
    free_.clear();
    use_.cached = 0;
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  MemoryUse use_;
  size_t highest_ = 0;  // of use_.live, ever
};

Cache& cache() {
  static Cache* c = new Cache;  // outlives every static tensor
  return *c;
}

bool guard_bands = false;
std::atomic<int64_t> broken_guards{0};

struct Guarded {
  Block block;
  size_t bytes;
  ~Guarded() {
    auto* begin = static_cast<unsigned char*>(block.data);
    for (size_t i = 0; i < kGuard; ++i)
      if (begin[i] != kPattern || begin[kGuard + bytes + i] != kPattern) {
        ++broken_guards;
        warn("a kernel wrote outside a block of ", bytes, " bytes");
        break;
      }
    cache().give_back(block);
  }
};

}  // namespace

std::shared_ptr<Storage> Storage::allocate(size_t bytes) {
  auto storage = reserve();
  storage->fulfil(bytes);
  return storage;
}

std::shared_ptr<Storage> Storage::reserve() { return std::shared_ptr<Storage>(new Storage); }

void Storage::fulfil(size_t bytes) {
  require(data_ == nullptr, "storage is already there");
  const size_t extra = guard_bands ? 2 * kGuard : 0;
  const Block block = cache().take((bytes + extra + 511) / 512 * 512);
  bytes_ = bytes;
  data_ = block.data;
  if (guard_bands) {
    data_ = static_cast<char*>(block.data) + kGuard;
    std::memset(block.data, kPattern, kGuard);
    std::memset(static_cast<char*>(data_) + bytes, kPattern, kGuard);
    owner_ = std::make_shared<Guarded>(block, bytes);
  } else {
    owner_ = std::shared_ptr<const void>(block.data, [block](const void*) { cache().give_back(block); });
  }
}

std::shared_ptr<Storage> Storage::wrap(void* data, size_t bytes, std::shared_ptr<const void> owner) {
  auto storage = reserve();
  storage->data_ = data;
  storage->bytes_ = bytes;
  storage->owner_ = std::move(owner);
  return storage;
}

MemoryUse memory_use() { return cache().use(); }
void reset_peak_memory() { cache().reset_peak(); }
void release_cached_memory() { cache().release(); }
void set_guard_bands(bool on) { guard_bands = on; }
int64_t broken_guard_bands() { return broken_guards; }

}  // namespace hinoki
