// Numbers as kernels load, compute with and store them: 16-bit floats become f32 when loaded, and are rounded to
// nearest even when stored; NaN stays NaN. Vectors of 16 bytes where addresses allow.
#pragma once
#include <cstdint>

#include "core/base/dtype.h"
#include "kernels/cuda/simt.h"

#if !defined(__CUDACC__)
#include "core/base/half.h"
#endif

namespace hinoki::kernels {

__device__ inline float widen(float x) { return x; }
__device__ inline float widen(bf16 x) { return __uint_as_float(uint32_t{x.bits} << 16); }

#if defined(__CUDACC__)
__device__ inline float widen(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
__device__ inline uint16_t bf16_bits(float x) {
  uint16_t y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return y;
}
__device__ inline uint16_t f16_bits(float x) {
  uint16_t y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return y;
}
// Two bf16 in a register, `low` in the lower half: the element that comes first in memory.
__device__ inline uint32_t pack_bf16(float low, float high) {
  uint32_t y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
// f32 rounded to tf32 (to nearest, ties away from zero), for mma_m16n8k8.
__device__ inline uint32_t to_tf32(float x) {
  uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
}
// 2^x to 2 ulp in one instruction; results below 2^-126 are 0.
__device__ inline float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// 1 / x to 1 ulp in one instruction; results below 2^-126 are 0.
__device__ inline float reciprocal_approx(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#else
inline float widen(f16 x) { return to_float(x); }
inline uint16_t bf16_bits(float x) { return to_bf16(x).bits; }
inline uint16_t f16_bits(float x) { return std::bit_cast<uint16_t>(_Float16(x)); }
inline uint32_t pack_bf16(float low, float high) { return uint32_t{bf16_bits(high)} << 16 | bf16_bits(low); }
inline uint32_t to_tf32(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return x != x ? 0x7fffffffu : bits;
  return (bits + 0x1000u) & 0xffffe000u;
}
inline float exp2_approx(float x) { return x < -126 ? 0 : std::exp2(x); }
inline float reciprocal_approx(float x) { return std::abs(x) > 0x1p126f ? std::copysign(0.0f, x) : 1 / x; }
#endif

// The halves of what pack_bf16 made.
__device__ inline float low_bf16(uint32_t packed) { return __uint_as_float(packed << 16); }
__device__ inline float high_bf16(uint32_t packed) { return __uint_as_float(packed & 0xffff0000u); }

template <class T>
__device__ inline T narrow(float x) {
  if constexpr (sizeof(T) == 4)
    return x;
  else if constexpr (dtype_of<T>() == DType::bf16)
    return {bf16_bits(x)};
  else
    return {f16_bits(x)};
}

// Elements of 16 bytes: 8 bf16 or 4 f32.
template <class T>
constexpr int kVector = int(16 / sizeof(T));

// May [p], [p + stride], [p + 2 stride], ... be loaded by vectors? For all arrays of a kernel, before its launch.
template <class T>
bool vector_aligned(const T* p, int64_t stride = 0) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0 && stride % kVector<T> == 0;
}

__device__ inline void load_vector(float (&x)[8], const bf16* p) {
  const uint4 v = *reinterpret_cast<const uint4*>(p);
  const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = low_bf16(words[i]);
    x[2 * i + 1] = high_bf16(words[i]);
  }
}
__device__ inline void load_vector(float (&x)[4], const float* p) {
  const float4 v = *reinterpret_cast<const float4*>(p);
  x[0] = v.x;
  x[1] = v.y;
  x[2] = v.z;
  x[3] = v.w;
}
__device__ inline void store_vector(bf16* p, const float (&x)[8]) {
  *reinterpret_cast<uint4*>(p) =
      make_uint4(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7]));
}
__device__ inline void store_vector(float* p, const float (&x)[4]) {
  *reinterpret_cast<float4*>(p) = make_float4(x[0], x[1], x[2], x[3]);
}

}  // namespace hinoki::kernels
