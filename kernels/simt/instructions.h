// Twins of the functions of kernels/cuda/native.h: shared memory, matrix fragments, background copies.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/simt/meeting.h"

#define SHARED(name, ...)                                                                                \
  auto& name = *[] {                                                                                     \
    static const char key = 0;                                                                           \
    using Shared = ::hinoki::simt::Type<__VA_ARGS__>;                                                    \
    return static_cast<Shared*>(                                                                         \
        ::hinoki::simt::shared_variable(&key, #name, sizeof(Shared), ::hinoki::simt::kElement<Shared>)); \
  }()
#define DYNAMIC_SHARED(name, ...)                               \
  auto* name = static_cast<::hinoki::simt::Type<__VA_ARGS__>*>( \
      ::hinoki::simt::shared_variable(nullptr, #name, 0, ::hinoki::simt::kElement<::hinoki::simt::Type<__VA_ARGS__>>))

namespace hinoki::simt {

// The smallest part of a variable that threads may share out among themselves: an element of an array; of a struct
// perhaps a byte, but for small ones, which are numbers (bf16, float4), a word or the whole.
template <class T, class E = std::remove_all_extents_t<T>>
constexpr size_t kElement = std::is_scalar_v<E> ? sizeof(E)
                            : sizeof(E) > 16    ? 1
                            : alignof(E) < 4    ? alignof(E)
                                                : 4;

// The block's variable `key`, made at the first call and filled with NaN; a null key is the dynamic part.
void* shared_variable(const void* key, const char* name, size_t bytes, size_t element);

void ldmatrix_x4(uint32_t (&r)[4], const void* row, Site site = Site::current());
void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, Site site = Site::current());
void ldmatrix_x2(uint32_t (&r)[2], const void* row, Site site = Site::current());
void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row, Site site = Site::current());
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Site site = Site::current());
void mma_m16n8k8(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Site site = Site::current());

// The destination turns to NaN when a copy is issued and gets its data at the wait that must cover it, the latest
// moment the hardware is allowed: a missing wait or barrier shows.
void cp_async16(void* to, const void* from, bool valid = true);
void cp_async_commit();
void cp_async_wait_pending(int pending);
template <int Pending>
__forceinline__ void cp_async_wait() {
  cp_async_wait_pending(Pending);
}

}  // namespace hinoki::simt
