// Vectors of the target's native width, as compiler vector types: + - * and comparisons are the language's own. Here is
// what the language lacks: unaligned access, broadcast, the fused multiply-add, and a transpose in registers.
#pragma once
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(kVectorBytes)));
  typedef float Loose __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t Integer;
  typedef int32_t Bits __attribute__((vector_size(kVectorBytes)));
  typedef uint32_t Unsigned __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(kVectorBytes)));
  typedef double Loose __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef int64_t Integer;
  typedef int64_t Bits __attribute__((vector_size(kVectorBytes)));
  typedef uint64_t Unsigned __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vector = typename VectorOf<T>::Type;
template <class T>
using Bits = typename VectorOf<T>::Bits;
template <class T>
constexpr int kWidth = kVectorBytes / int(sizeof(T));

template <class T>
inline Vector<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::Loose*>(p);
}
template <class T>
inline void store(T* p, Vector<T> v) {
  *reinterpret_cast<typename VectorOf<T>::Loose*>(p) = v;
}

// Stores that go past the caches, for arrays that are written once and too large to be found there when they are read:
// memory is not read first. p is aligned to a vector. Whoever is done calls end_streaming() before others may look.
template <class T>
inline void stream(T* p, Vector<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(reinterpret_cast<float*>(p), reinterpret_cast<__m512>(v));
#elif defined(__AVX2__)
  _mm256_stream_ps(reinterpret_cast<float*>(p), reinterpret_cast<__m256>(v));
#else
  store(p, v);
#endif
}
inline void end_streaming() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}
template <class T>
inline bool vector_aligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % kVectorBytes == 0;
}

// fma(a, b, c) = a * b + c: rounded once where the target has the instruction, twice on the portable one. Intrinsics,
// since the compiler contracts a * b + c at some optimisation levels only.
#if defined(__AVX512F__)
inline Vector<float> broadcast(float x) { return _mm512_set1_ps(x); }
inline Vector<double> broadcast(double x) { return _mm512_set1_pd(x); }
inline Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) { return _mm512_fmadd_ps(a, b, c); }
inline Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) { return _mm512_fmadd_pd(a, b, c); }
#elif defined(__AVX2__)
inline Vector<float> broadcast(float x) { return _mm256_set1_ps(x); }
inline Vector<double> broadcast(double x) { return _mm256_set1_pd(x); }
inline Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) { return _mm256_fmadd_ps(a, b, c); }
inline Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) { return _mm256_fmadd_pd(a, b, c); }
#else
inline Vector<float> broadcast(float x) { return Vector<float>{x, x, x, x}; }
inline Vector<double> broadcast(double x) { return Vector<double>{x, x}; }
inline Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) { return a * b + c; }
inline Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) { return a * b + c; }
#endif

// sum = fma(a, b, sum), held in one register throughout: left to itself, g++ 12 spends moves on renaming accumulators.
template <class T>
[[gnu::always_inline]] inline void add_product(Vector<T>& sum, Vector<T> a, Vector<T> b) {
#if defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  else
    asm("vfmadd231pd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#else
  sum = fma(a, b, sum);
#endif
}

// The same with one number from memory: where the instruction can broadcast it itself, the number needs no register and
// no instruction of its own, but a load each time.
#if defined(__AVX512F__)
constexpr bool kBroadcastsFromMemory = true;
[[gnu::always_inline]] inline void add_product(Vector<float>& sum, const float* a, Vector<float> b) {
  asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(b), "m"(*a));
}
[[gnu::always_inline]] inline void add_product(Vector<double>& sum, const double* a, Vector<double> b) {
  asm("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(b), "m"(*a));
}
#else
constexpr bool kBroadcastsFromMemory = false;
template <class T>
[[gnu::always_inline]] inline void add_product(Vector<T>& sum, const T* a, Vector<T> b) {
  add_product<T>(sum, broadcast(*a), b);
}
#endif

template <class T>
inline Vector<T> greater(Vector<T> a, Vector<T> b) {
  return a > b ? a : b;
}

// v[(i + shift) % width] in place i.
template <int shift, class V, int... i>
inline V rotate(V v, std::integer_sequence<int, i...>) {
  constexpr int width = sizeof...(i);
  if constexpr (sizeof(v[0]) == 4)
    return __builtin_shuffle(v, Bits<float>{(i + shift) % width...});
  else
    return __builtin_shuffle(v, Bits<double>{(i + shift) % width...});
}

// The largest element. (A NaN is not larger than anything.)
template <class T>
inline T largest(Vector<T> v) {
  constexpr std::make_integer_sequence<int, kWidth<T>> all;
  if constexpr (kWidth<T> >= 16) v = greater<T>(v, rotate<8>(v, all));
  if constexpr (kWidth<T> >= 8) v = greater<T>(v, rotate<4>(v, all));
  if constexpr (kWidth<T> >= 4) v = greater<T>(v, rotate<2>(v, all));
  v = greater<T>(v, rotate<1>(v, all));
  return v[0];
}

// The transposes work on 128-bit parts: a square of kPart x kPart elements in each part.
template <class T>
constexpr int kPart = 16 / int(sizeof(T));

// Part q of the result is kPart elements from place(q).
template <class T, class Place>
inline Vector<T> load_parts(const Place& place) {
#if defined(__AVX2__)
  const auto part = [&](int q) { return _mm_loadu_ps(reinterpret_cast<const float*>(place(q))); };
#endif
#if defined(__AVX512F__)
  __m512 v = _mm512_castps128_ps512(part(0));
  v = _mm512_insertf32x4(v, part(1), 1);
  v = _mm512_insertf32x4(v, part(2), 2);
  v = _mm512_insertf32x4(v, part(3), 3);
  return reinterpret_cast<Vector<T>>(v);
#elif defined(__AVX2__)
  return reinterpret_cast<Vector<T>>(_mm256_insertf128_ps(_mm256_castps128_ps256(part(0)), part(1), 1));
#else
  return load(place(0));
#endif
}

// The same from p + q * stride.
template <class T>
inline Vector<T> load_parts(const T* p, int64_t stride) {
  return load_parts<T>([=](int q) { return p + q * stride; });
}

// Interleaved halves of each 128-bit part: a0 b0 a1 b1 of its low half, of its high half. Written as shuffles: g++ 12
// warns inside its own 512-bit intrinsics.
#if defined(__AVX512F__)
inline Vector<float> low(Vector<float> a, Vector<float> b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
inline Vector<float> high(Vector<float> a, Vector<float> b) {
  return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
inline Vector<double> low(Vector<double> a, Vector<double> b) {
  return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
}
inline Vector<double> high(Vector<double> a, Vector<double> b) {
  return __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
}
#elif defined(__AVX2__)
inline Vector<float> low(Vector<float> a, Vector<float> b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
}
inline Vector<float> high(Vector<float> a, Vector<float> b) {
  return __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
}
inline Vector<double> low(Vector<double> a, Vector<double> b) { return __builtin_shufflevector(a, b, 0, 4, 2, 6); }
inline Vector<double> high(Vector<double> a, Vector<double> b) { return __builtin_shufflevector(a, b, 1, 5, 3, 7); }
#else
inline Vector<float> low(Vector<float> a, Vector<float> b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
inline Vector<float> high(Vector<float> a, Vector<float> b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
inline Vector<double> low(Vector<double> a, Vector<double> b) { return __builtin_shufflevector(a, b, 0, 2); }
inline Vector<double> high(Vector<double> a, Vector<double> b) { return __builtin_shufflevector(a, b, 1, 3); }
#endif

// Rows become columns inside each part: v[0..3] for float, v[0..1] for double.
inline void transpose_parts(Vector<double> (&v)[2]) {
  const Vector<double> a = v[0], b = v[1];
  v[0] = low(a, b);
  v[1] = high(a, b);
}

inline void transpose_parts(Vector<float> (&v)[4]) {
  const auto pairs = [](Vector<float> x) { return reinterpret_cast<Vector<double>>(x); };
  const Vector<double> ab0 = pairs(low(v[0], v[1])), ab1 = pairs(high(v[0], v[1]));
  const Vector<double> cd0 = pairs(low(v[2], v[3])), cd1 = pairs(high(v[2], v[3]));
  v[0] = reinterpret_cast<Vector<float>>(low(ab0, cd0));
  v[1] = reinterpret_cast<Vector<float>>(high(ab0, cd0));
  v[2] = reinterpret_cast<Vector<float>>(low(ab1, cd1));
  v[3] = reinterpret_cast<Vector<float>>(high(ab1, cd1));
}

}  // namespace hinoki::kernels::HINOKI_TARGET
