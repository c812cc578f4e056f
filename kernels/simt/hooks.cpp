// The functions that g++ calls before each load and store of an instrumented file (-fsanitize=thread). We define them
// ourselves instead of linking the sanitizer: so every access of a kernel reaches the checker, with no change to the
// kernel's source.
#include <cstdint>
#include <cstring>

#include "kernels/simt/history.h"

namespace {
using hinoki::simt::Access;
using hinoki::simt::check;
uintptr_t number(void* address) { return reinterpret_cast<uintptr_t>(address); }
}  // namespace

#define HINOKI_CALLER number(__builtin_return_address(0))
#define HINOKI_HOOKS(n)                                                                  \
  void __tsan_read##n(void* p) { check(p, n, Access::read, HINOKI_CALLER); }             \
  void __tsan_write##n(void* p) { check(p, n, Access::write, HINOKI_CALLER); }           \
  void __tsan_unaligned_read##n(void* p) { check(p, n, Access::read, HINOKI_CALLER); }   \
  void __tsan_unaligned_write##n(void* p) { check(p, n, Access::write, HINOKI_CALLER); } \
  void __tsan_volatile_read##n(void* p) { check(p, n, Access::read, HINOKI_CALLER); }    \
  void __tsan_volatile_write##n(void* p) { check(p, n, Access::write, HINOKI_CALLER); }  \
  void __tsan_read_write##n(void* p) { check(p, n, Access::write, HINOKI_CALLER); }

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void**) {}
void __tsan_vptr_update(void** p, void* v) { *p = v; }
void __tsan_read_range(void* p, size_t n) {
  if (n > 0) check(p, n, Access::read, HINOKI_CALLER);
}
void __tsan_write_range(void* p, size_t n) {
  if (n > 0) check(p, n, Access::write, HINOKI_CALLER);
}
HINOKI_HOOKS(1)
HINOKI_HOOKS(2)
HINOKI_HOOKS(4)
HINOKI_HOOKS(8)
HINOKI_HOOKS(16)

// Atomics of the C++ library (shared pointers, say) in host functions of kernel files.
#define HINOKI_ATOMICS(bits, T)                                                                                     \
  T __tsan_atomic##bits##_load(const volatile T* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }           \
  void __tsan_atomic##bits##_store(volatile T* p, T v, int) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }           \
  T __tsan_atomic##bits##_exchange(volatile T* p, T v, int) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T v, int) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T v, int) { return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_and(volatile T* p, T v, int) { return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_or(volatile T* p, T v, int) { return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); }   \
  T __tsan_atomic##bits##_fetch_xor(volatile T* p, T v, int) { return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST); } \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* expected, T v, int, int) {                    \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                  \
  }                                                                                                                 \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* expected, T v, int, int) {                      \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                  \
  }
HINOKI_ATOMICS(8, uint8_t)
HINOKI_ATOMICS(16, uint16_t)
HINOKI_ATOMICS(32, uint32_t)
HINOKI_ATOMICS(64, uint64_t)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
}
