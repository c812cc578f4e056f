// The emulated GPU's memory: one reserved range of addresses that host code cannot touch, cut into blocks with gaps.
// Fresh memory is filled with NaN. Library twins (kernels/simt/*) announce here what they read and write.
#pragma once
#include <cstddef>

#include "kernels/simt/history.h"

namespace hinoki::simt {

// While one lives, the blocks that are announced below (or by a kernel's accesses) may be touched by this thread, and
// by no other. They nest. Blocks open one by one: protecting all memory anew would cost milliseconds a gigabyte.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
};

// 256-byte aligned; null if the device is full. `element` is the size of what it will hold: a power of two.
void* allocate_device(size_t bytes, size_t element);
void release_device(void* p);

// Open the block, and require that all of the bytes lie in it; and of what is read, that the host, a kernel or a
// library has written it. What is written counts as written from here on.
void device_holds(const void* p, size_t bytes, const char* who);
void device_reads(const void* p, size_t bytes, const char* who);
void device_writes(void* p, size_t bytes, const char* who);

// The block's contents stay, but count as never written, so that reading them is an error.
void forget_device(void* block);

size_t device_used();
size_t device_limit();
void set_device_limit(size_t bytes);  // for tests of what happens when memory is short

bool in_device_memory(const void* p);
// The block in whose pages p lies, perhaps outside its bounds; null: none.
const Region* find_device(const void* p);
// Lets the caller, who has DeviceAccess, touch a block.
void open_device(const Region& block);

}  // namespace hinoki::simt
