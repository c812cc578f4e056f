// Operations for which threads wait for each other: barriers of a block, meetings of a warp.
// In a meeting each lane leaves a pointer to its argument, which stays on its own stack; the last to arrive computes
// everybody's result. No slot is used twice, so no lane can overwrite a value that a slower one has yet to read.
#pragma once
#include <bit>
#include <source_location>
#include <type_traits>

#include "kernels/simt/vector_types.h"

namespace hinoki::simt {

using Site = std::source_location;  // where in the kernel an operation stands

// A thread never sees these change, so the compiler may keep them in registers.
[[gnu::const]] uint3 thread_index();
[[gnu::const]] uint3 block_index();
[[gnu::const]] dim3 block_size();
[[gnu::const]] dim3 grid_size();
[[gnu::const]] int lane();

enum class Vote { none, count, all, any };
int block_barrier(Vote vote, int predicate, Site site);

// `complete` is called once, with the arguments of all lanes in the mask.
struct Meeting {
  const char* operation;
  unsigned mask;
  void (*complete)(void* const* arguments, unsigned mask);
  bool orders_memory = false;  // what lanes wrote before is seen after
};
void meet(const Meeting& meeting, void* argument, Site site);

// End the launch with an error at the calling thread.
[[noreturn]] void fault_shuffle_source(int lane);
[[noreturn]] void fault_shuffle_width(int width);
[[noreturn]] void fault_alignment(const char* operation, const void* address, int bytes);
[[noreturn]] void fault_trap();

template <class T>
struct Exchange {
  T in, out;
  int source;  // the lane whose value is wanted; -1: one's own
};

template <class T>
T exchange(const char* operation, unsigned mask, T value, int source, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  Exchange<T> mine{value, value, source};
  const auto complete = [](void* const* arguments, unsigned lanes) {
    for (unsigned left = lanes; left != 0; left &= left - 1) {
      auto& e = *static_cast<Exchange<T>*>(arguments[std::countr_zero(left)]);
      if (e.source < 0) continue;
      if (!(lanes >> e.source & 1)) fault_shuffle_source(e.source);
      e.out = static_cast<Exchange<T>*>(arguments[e.source])->in;
    }
  };
  meet({operation, mask, complete}, &mine, site);
  return mine.out;
}

// The first lane of the calling lane's segment.
inline int segment(int width) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0) fault_shuffle_width(width);
  return lane() & -width;
}

// Combines the values of all lanes in lane order; each gets the result.
template <class T, class F>
T fold(const char* operation, unsigned mask, T value, Site site, F) {
  static_assert(std::is_empty_v<F>);
  Exchange<T> mine{value, value, -1};
  const auto complete = [](void* const* arguments, unsigned lanes) {
    T total = static_cast<Exchange<T>*>(arguments[std::countr_zero(lanes)])->in;
    for (unsigned left = lanes & (lanes - 1); left != 0; left &= left - 1)
      total = F{}(total, static_cast<Exchange<T>*>(arguments[std::countr_zero(left)])->in);
    for (unsigned left = lanes; left != 0; left &= left - 1)
      static_cast<Exchange<T>*>(arguments[std::countr_zero(left)])->out = total;
  };
  meet({operation, mask, complete}, &mine, site);
  return mine.out;
}

}  // namespace hinoki::simt
