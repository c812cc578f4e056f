// Memory of the CPU that blocks of any size are cut out of, and joined to again when they come back. What is needed at once
// is then about all that is kept, in whatever sizes and order it is asked for: lists by size would keep the sum over sizes.
#pragma once
#include <cstddef>
#include <map>

namespace hinoki {

// Not for several threads at once. Its addresses stay with the process.
class Arena {
 public:
  static constexpr size_t kGrain = 512;  // blocks begin and end at multiples of it
  static constexpr size_t kHugePage = size_t{2} << 20;

  // The lowest place where `bytes` fit, contents undefined. Null: the system has no more.
  void* take(size_t bytes);
  // Whether a block of this size would be new memory, and not some that was given back.
  bool grows_for(size_t bytes) { return first_fit(bytes) == free_.end(); }
  void give_back(void* data, size_t bytes);
  // Hands the pages of all that is free back to the system.
  void drop();
  // Of what is free, how much may still have its pages.
  size_t cached() const { return cached_; }

 private:
  struct Space {
    size_t bytes = 0, touched = 0;  // at most `touched` of them have pages
  };
  using Free = std::map<char*, Space>;  // no two of them touch each other
  Free::iterator first_fit(size_t bytes);
  void add(char* at, Space);
  Space remove(Free::iterator);
  bool reserve(size_t bytes);
  bool make_writable(char* end);

  Free free_;
  size_t cached_ = 0;
  char* top_ = nullptr;       // nothing from here on was handed out yet,
  char* writable_ = nullptr;  // from here on there are addresses and no memory,
  char* end_ = nullptr;       // and here they end
};

}  // namespace hinoki
