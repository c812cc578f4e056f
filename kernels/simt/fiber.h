// Threads of execution that take turns by their own will. A switch is eight instructions; ucontext would make a system
// call for each.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hinoki::simt {

// Stacks of all threads of a block, each with a page below it that faults when touched.
class Stacks {
 public:
  explicit Stacks(int count);
  ~Stacks();
  Stacks(const Stacks&) = delete;

  bool contain(const void* p) const { return size_t(static_cast<const char*>(p) - memory_) < bytes_; }
  // Is p in a page that no stack may reach?
  bool overflown(const void* p) const;
  // Where a new fiber on stack i starts; it enters `main`, which must not return.
  void* prepare(int i, void (*main)());

 private:
  static constexpr size_t kBytes = 132 * 1024;
  size_t bytes_;
  char* memory_;
};

// Leaves the running fiber, keeping its place in *from, and goes on at `to`.
extern "C" void hinoki_switch_fiber(void** from, void* to);

}  // namespace hinoki::simt
