#include "core/base/arena.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace hinoki {
namespace {

constexpr size_t kStep = 32 * Arena::kHugePage;  // that the writable part grows by

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }
char* align(char* at, size_t unit) { return at + (unit - uintptr_t(at) % unit) % unit; }  // up

// Addresses cost nothing, unless somebody limits them: as many as there is memory.
size_t addresses_at_once() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return kStep;
  return size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
}

}  // namespace

void* Arena::take(size_t bytes) {
  if (bytes > SIZE_MAX / 2) return nullptr;
  bytes = round_up(std::max(bytes, kGrain), kGrain);
  if (const auto found = first_fit(bytes); found != free_.end()) {
    char* const data = found->first;
    const Space whole = remove(found);
    if (whole.bytes > bytes) add(data + bytes, {whole.bytes - bytes, std::min(whole.touched, whole.bytes - bytes)});
    return data;
  }
  // What is free right below the top grows with it. Other ranges may lie above this one.
  auto below = free_.lower_bound(top_);
  below = below == free_.begin() ? free_.end() : std::prev(below);
  if (below != free_.end() && below->first + below->second.bytes != top_) below = free_.end();
  char* data = below != free_.end() ? below->first : top_;
  if (size_t(end_ - data) < bytes) {
    if (!reserve(bytes)) return nullptr;
    below = free_.end();
    data = top_;
  }
  if (!make_writable(data + bytes)) return nullptr;
  if (below != free_.end()) remove(below);
  top_ = data + bytes;
  return data;
}

void Arena::give_back(void* data, size_t bytes) {
  bytes = round_up(std::max(bytes, kGrain), kGrain);
  add(static_cast<char*>(data), {bytes, bytes});
}

void Arena::drop() {
  const auto page = uintptr_t(sysconf(_SC_PAGESIZE));
  for (auto& [at, space] : free_) {
    char* const first = align(at, page);
    char* const last = at + space.bytes - uintptr_t(at + space.bytes) % page;
    if (space.touched > 0 && first < last) madvise(first, size_t(last - first), MADV_DONTNEED);
    space.touched = 0;
  }
  cached_ = 0;
}

Arena::Free::iterator Arena::first_fit(size_t bytes) {
  return std::find_if(free_.begin(), free_.end(), [bytes](const auto& place) { return place.second.bytes >= bytes; });
}

void Arena::add(char* at, Space space) {
  cached_ += space.touched;
  auto next = free_.lower_bound(at);
  if (next != free_.end() && at + space.bytes == next->first) {
    space.bytes += next->second.bytes;
    space.touched += next->second.touched;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.bytes == at) {
      before->second.bytes += space.bytes;
      before->second.touched += space.touched;
      return;
    }
  }
  free_.emplace_hint(next, at, space);
}

Arena::Space Arena::remove(Free::iterator place) {
  const Space space = place->second;
  cached_ -= space.touched;
  free_.erase(place);
  return space;
}

// Addresses for at least `bytes`, in a range of their own: the rest of the one before is free.
bool Arena::reserve(size_t bytes) {
  const size_t size = round_up(std::max(addresses_at_once(), bytes), kStep);
  void* const range = mmap(nullptr, size + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (range == MAP_FAILED) return false;
  // Large blocks want huge pages: pages in the order they happen to come collide in the second-level cache.
  char* const begin = align(static_cast<char*>(range), kHugePage);
  madvise(begin, size, MADV_HUGEPAGE);
  if (top_ < writable_) add(top_, {size_t(writable_ - top_), 0});
  top_ = writable_ = begin;
  end_ = begin + size;
  return true;
}

// The system counts memory when it becomes writable, and says no then, where it would otherwise end the process later.
bool Arena::make_writable(char* end) {
  if (end <= writable_) return true;
  char* const ahead = std::min(end_, writable_ + round_up(size_t(end - writable_), kStep));
  for (char* const to : {ahead, align(end, kHugePage)}) {
    if (mprotect(writable_, size_t(to - writable_), PROT_READ | PROT_WRITE) != 0) continue;
    writable_ = to;
    return true;
  }
  return false;
}

}  // namespace hinoki
