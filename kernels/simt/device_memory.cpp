// Blocks of device memory: pages of one reserved range, which is protected while no kernel or copy runs.
#include "kernels/simt/device_memory.h"

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "core/base/check.h"
#include "kernels/simt/guard.h"

namespace hinoki::simt {
namespace {

constexpr size_t kPage = 4096, kPages = size_t{1} << 24, kGap = 512;  // 64 GiB of addresses

struct Block : Region {
  char* start = nullptr;  // of its pages
  size_t pages = 0;
  Block* next_open = nullptr;
  void protect(int protection) { mprotect(start, pages * kPage, protection); }
  ~Block() { std::free(cells); }
};

template <class T>
T* reserve(size_t count, int protection) {
  void* p = mmap(nullptr, count * sizeof(T), protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(p != MAP_FAILED, "emulator: no address space for ", count * sizeof(T), " bytes of device memory");
  return static_cast<T*>(p);
}

struct Memory {
  char* base = reserve<char>(kPages * kPage, PROT_NONE);
  Block** owner = reserve<Block*>(kPages, PROT_READ | PROT_WRITE);  // of each page
  size_t high_water = 0;                                            // pages ever used
  std::multimap<size_t, size_t> free_runs;                          // number of pages -> first page
  size_t used = 0, limit = size_t{16} << 30;
  std::recursive_mutex mutex;
  int depth = 0;                 // of DeviceAccess
  Block* open_blocks = nullptr;  // a list through next_open
};

Memory& memory() {
  static Memory* m = new Memory;  // outlives every static tensor
  return *m;
}

// The block that holds all of [p, p + bytes).
Block& holder(const void* p, size_t bytes, const char* who) {
  auto* block = static_cast<Block*>(const_cast<Region*>(find_device(p)));
  require(block != nullptr, who, ": ", p, " is not device memory, or no longer");
  const auto offset = static_cast<const char*>(p) - block->base;
  require(offset >= 0 && size_t(offset) <= block->bytes && bytes <= block->bytes - size_t(offset), who, ": ", bytes,
          " bytes at byte ", offset, " of a block of ", block->bytes, " bytes of device memory");
  return *block;
}

size_t take_pages(Memory& m, size_t pages) {
  if (const auto found = m.free_runs.find(pages); found != m.free_runs.end()) {
    const size_t first = found->second;
    m.free_runs.erase(found);
    return first;
  }
  if (pages > kPages - m.high_water) return kPages;
  m.high_water += pages;
  return m.high_water - pages;
}

void close_blocks(Memory& m) {
  for (; m.open_blocks != nullptr; m.open_blocks = m.open_blocks->next_open) {
    m.open_blocks->open = false;
    m.open_blocks->protect(PROT_NONE);
  }
}

}  // namespace

DeviceAccess::DeviceAccess() {
  explain_faults();
  Memory& m = memory();
  m.mutex.lock();
  ++m.depth;
}

DeviceAccess::~DeviceAccess() {
  Memory& m = memory();
  if (--m.depth == 0) close_blocks(m);
  m.mutex.unlock();
}

void open_device(const Region& region) {
  auto& block = static_cast<Block&>(const_cast<Region&>(region));
  if (block.open) return;
  block.open = true;
  block.protect(PROT_READ | PROT_WRITE);
  block.next_open = std::exchange(memory().open_blocks, &block);
}

void* allocate_device(size_t bytes, size_t element) {
  require(std::has_single_bit(element) && element <= 16, "emulator: elements of ", element, " bytes");
  explain_faults();
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  if (bytes > m.limit - m.used) return nullptr;
  const size_t pages = (kGap + bytes + kGap + kPage - 1) / kPage;
  const size_t first = take_pages(m, pages);
  if (first == kPages) return nullptr;
  auto block = std::make_unique<Block>();
  block->start = m.base + first * kPage;
  block->base = block->start + kGap;
  block->bytes = bytes;
  block->shift = unsigned(std::countr_zero(element));
  block->open = false;
  block->birth = next_interval();
  block->pages = pages;
  block->cells = static_cast<Cell*>(std::calloc((bytes >> block->shift) + 1, sizeof(Cell)));
  require(block->cells != nullptr, "emulator: no memory for the history of ", bytes, " bytes");
  block->protect(PROT_READ | PROT_WRITE);
  std::memset(block->start, 0xff, pages * kPage);  // NaN in every float format
  block->protect(PROT_NONE);
  m.used += bytes;
  std::fill_n(m.owner + first, pages, block.get());
  return block.release()->base;
}

void release_device(void* p) {
  if (p == nullptr) return;
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  Block& found = holder(p, 0, "release");
  require(found.base == p, "release: ", p, " is inside a block of device memory");
  if (found.open) close_blocks(m);
  const std::unique_ptr<Block> block(&found);
  const size_t first = size_t(block->start - m.base) / kPage;
  std::fill_n(m.owner + first, block->pages, nullptr);
  if (block->pages >= 256) madvise(block->start, block->pages * kPage, MADV_DONTNEED);
  m.free_runs.emplace(block->pages, first);
  m.used -= block->bytes;
}

void device_holds(const void* p, size_t bytes, const char* who) {
  if (bytes > 0) open_device(holder(p, bytes, who));
}

void device_reads(const void* p, size_t bytes, const char* who) {
  if (bytes == 0) return;
  const DeviceAccess access;
  const Block& block = holder(p, bytes, who);
  open_device(block);
  if (block.filled) return;
  const size_t offset = size_t(static_cast<const char*>(p) - block.base);
  for (size_t i = offset >> block.shift; i <= (offset + bytes - 1) >> block.shift; ++i)
    require(block.cells[i].write.interval >= block.birth, who, ": reads element ", i, " of a block of ", block.bytes,
            " bytes of device memory, which nobody has written");
}

void device_writes(void* p, size_t bytes, const char* who) {
  if (bytes == 0) return;
  const DeviceAccess access;
  Block& block = holder(p, bytes, who);
  open_device(block);
  if (block.filled) return;  // and no launch is under way: nothing to order
  block.filled = bytes == block.bytes;
  if (block.filled) return;
  const size_t offset = size_t(static_cast<const char*>(p) - block.base);
  const uint64_t now = next_interval();
  for (size_t i = offset >> block.shift; i <= (offset + bytes - 1) >> block.shift; ++i) {
    block.cells[i] = {};
    block.cells[i].write.interval = now;
  }
}

void forget_device(void* p) {
  const DeviceAccess access;
  Block& block = holder(p, 0, "forget");
  block.filled = false;
  block.birth = next_interval();  // after whatever was written
}

size_t device_used() { return memory().used; }
size_t device_limit() { return memory().limit; }
void set_device_limit(size_t bytes) { memory().limit = std::max(bytes, memory().used); }

bool in_device_memory(const void* p) { return size_t(static_cast<const char*>(p) - memory().base) < kPages * kPage; }

const Region* find_device(const void* p) {
  Memory& m = memory();
  const size_t offset = size_t(static_cast<const char*>(p) - m.base);
  return offset < kPages * kPage ? m.owner[offset / kPage] : nullptr;
}

}  // namespace hinoki::simt
