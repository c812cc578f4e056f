// Who touched an element of shared or device memory last, and what an element belongs to. Intervals between barriers
// have numbers that are never used twice: nothing needs clearing, what is older than the launch or the buffer shows.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hinoki::simt {

struct Stamp {
  uint64_t interval : 38, thread : 10, warp_interval : 14;
  uint64_t note : 2;  // of a write: 1 atomic; of a read: a Readers
  uint32_t block, address;
};
enum Readers : unsigned { kNobody, kOneThread, kOneWarp, kSeveralWarps };

struct Cell {
  Stamp write, read;
};

// A shared variable or a block of device memory, with a cell for each element.
struct Region {
  char* base = nullptr;
  size_t bytes = 0;
  unsigned shift = 0;   // log2 of the element's size
  bool filled = false;  // the host has written all of it
  bool open = true;     // may be touched now
  uint64_t birth = 0;   // interval in which its contents began
  Cell* cells = nullptr;
};

uint64_t next_interval();

enum class Access { read, write, atomic };

// Called before every access of a kernel; `address` is that of the code. Faults on a race, an uninitialised read, an
// access outside every buffer.
void check(const void* p, size_t bytes, Access access, uintptr_t address);

}  // namespace hinoki::simt
