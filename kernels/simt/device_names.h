// CUDA's own device names for the emulator: indices, barriers, shuffles, votes, atomics on integers, arithmetic.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/simt/meeting.h"

#define threadIdx ::hinoki::simt::thread_index()
#define blockIdx ::hinoki::simt::block_index()
#define blockDim ::hinoki::simt::block_size()
#define gridDim ::hinoki::simt::grid_size()
constexpr int warpSize = 32;
using std::max;
using std::min;

inline void __syncthreads(hinoki::simt::Site site = hinoki::simt::Site::current()) {
  hinoki::simt::block_barrier(hinoki::simt::Vote::none, 0, site);
}
inline int __syncthreads_count(int p, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::block_barrier(hinoki::simt::Vote::count, p, site);
}
inline int __syncthreads_and(int p, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::block_barrier(hinoki::simt::Vote::all, p, site);
}
inline int __syncthreads_or(int p, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::block_barrier(hinoki::simt::Vote::any, p, site);
}
inline void __syncwarp(unsigned mask = ~0u, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  int nothing = 0;
  hinoki::simt::meet({"__syncwarp", mask, [](void* const*, unsigned) {}, true}, &nothing, site);
}
inline void __threadfence() {}  // orders nothing for the checker: blocks wait for no other block
inline void __threadfence_block() {}
[[noreturn]] inline void __trap() { hinoki::simt::fault_trap(); }

template <class T>
T __shfl_sync(unsigned mask, T v, int from, int width = 32, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::exchange("__shfl_sync", mask, v, hinoki::simt::segment(width) + (from & (width - 1)), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32,
                  hinoki::simt::Site site = hinoki::simt::Site::current()) {
  const int from = hinoki::simt::lane() ^ bits;
  return hinoki::simt::exchange("__shfl_xor_sync", mask, v, from < hinoki::simt::segment(width) + width ? from : -1,
                                site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32,
                   hinoki::simt::Site site = hinoki::simt::Site::current()) {
  const int from = hinoki::simt::lane() + int(by);
  return hinoki::simt::exchange("__shfl_down_sync", mask, v, from < hinoki::simt::segment(width) + width ? from : -1,
                                site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32,
                 hinoki::simt::Site site = hinoki::simt::Site::current()) {
  const int from = hinoki::simt::lane() - int(by);
  return hinoki::simt::exchange("__shfl_up_sync", mask, v, from >= hinoki::simt::segment(width) ? from : -1, site);
}

inline unsigned __ballot_sync(unsigned mask, int p, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  const unsigned mine = p != 0 ? 1u << hinoki::simt::lane() : 0u;
  return hinoki::simt::fold("__ballot_sync", mask, mine, site, [](unsigned a, unsigned b) { return a | b; });
}
inline int __any_sync(unsigned mask, int p, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::fold("__any_sync", mask, int(p != 0), site, [](int a, int b) { return a | b; });
}
inline int __all_sync(unsigned mask, int p, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::fold("__all_sync", mask, int(p != 0), site, [](int a, int b) { return a & b; });
}

namespace hinoki::simt {
template <class T>
concept Reducible = std::is_same_v<T, int> || std::is_same_v<T, unsigned>;
template <class T>
concept Atomic = std::is_integral_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);
}  // namespace hinoki::simt

template <hinoki::simt::Reducible T>
T __reduce_add_sync(unsigned mask, T v, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  const auto add = [](T a, T b) { return T(unsigned(a) + unsigned(b)); };
  return hinoki::simt::fold("__reduce_add_sync", mask, v, site, add);
}
template <hinoki::simt::Reducible T>
T __reduce_max_sync(unsigned mask, T v, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::fold("__reduce_max_sync", mask, v, site, [](T a, T b) { return a > b ? a : b; });
}
template <hinoki::simt::Reducible T>
T __reduce_min_sync(unsigned mask, T v, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::fold("__reduce_min_sync", mask, v, site, [](T a, T b) { return a < b ? a : b; });
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned v, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::fold("__reduce_and_sync", mask, v, site, [](unsigned a, unsigned b) { return a & b; });
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned v, hinoki::simt::Site site = hinoki::simt::Site::current()) {
  return hinoki::simt::fold("__reduce_or_sync", mask, v, site, [](unsigned a, unsigned b) { return a | b; });
}

namespace hinoki::simt {

void note_atomic(void* p, size_t bytes);
void raw_copy(void* to, const void* from, size_t bytes);  // unseen by the checker

template <Atomic T, class F>
T atomic_update(T* p, F f) {
  T old;
  note_atomic(p, sizeof(T));
  raw_copy(&old, p, sizeof(T));
  const T next = f(old);
  raw_copy(p, &next, sizeof(T));
  return old;
}

}  // namespace hinoki::simt

// Integers only: the sum of floats would depend on the order in which threads arrive.
template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  using U = std::make_unsigned_t<T>;
  return hinoki::simt::atomic_update(p, [=](T old) { return T(U(old) + U(v)); });
}
template <class T>
T atomicSub(T* p, std::type_identity_t<T> v) {
  using U = std::make_unsigned_t<T>;
  return hinoki::simt::atomic_update(p, [=](T old) { return T(U(old) - U(v)); });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  return hinoki::simt::atomic_update(p, [=](T old) { return old < v ? v : old; });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  return hinoki::simt::atomic_update(p, [=](T old) { return v < old ? v : old; });
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  return hinoki::simt::atomic_update(p, [=](T old) { return T(old | v); });
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> v) {
  return hinoki::simt::atomic_update(p, [=](T old) { return T(old & v); });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return hinoki::simt::atomic_update(p, [=](T) { return v; });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return hinoki::simt::atomic_update(p, [=](T old) { return old == expected ? v : old; });
}

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, std::type_identity_t<T> v) {
  *p = v;
}
template <class T>
void __stcg(T* p, std::type_identity_t<T> v) {
  *p = v;
}

// The fast intrinsics are libm's here: tolerances belong to the GPU run.
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __log2f(float x) { return std::log2(x); }
inline float __sinf(float x) { return std::sin(x); }
inline float __cosf(float x) { return std::cos(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(unsigned x) { return std::countl_zero(x); }
inline int __ffs(unsigned x) { return x != 0 ? std::countr_zero(x) + 1 : 0; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t{a} * b >> 32); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
