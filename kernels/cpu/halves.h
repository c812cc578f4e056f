// Vectors of f32 from 16-bit elements as they are stored, with the bits of to_float (core/base/half.h). (Where to_float
// keeps a signalling NaN, the instruction of f16 makes it quiet, as any arithmetic after it would.)
#pragma once
#include <type_traits>

#include "core/base/half.h"
#include "kernels/cpu/vector.h"

namespace hinoki::kernels::HINOKI_TARGET {

typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2)));
typedef uint16_t LooseHalves __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));

// A vector of the elements whose bits these are.
template <class Stored>
[[gnu::always_inline]] inline Vector<float> widen(Halves halves) {
  if constexpr (std::is_same_v<Stored, bf16>) {
    return reinterpret_cast<Vector<float>>(__builtin_convertvector(halves, VectorOf<float>::Unsigned) << 16);
  } else {
    static_assert(std::is_same_v<Stored, f16>);
#if defined(__AVX512F__)
    return _mm512_maskz_cvtph_ps(0xffff, reinterpret_cast<__m256i>(halves));  // g++ 12 warns inside the unmasked one
#elif defined(__F16C__)
    return _mm256_cvtph_ps(reinterpret_cast<__m128i>(halves));
#else
    Vector<float> wide;
    for (int i = 0; i < kWidth<float>; ++i) wide[i] = to_float(f16{halves[i]});
    return wide;
#endif
  }
}

// The elements from p on, of any alignment.
template <class Stored>
[[gnu::always_inline]] inline Vector<float> load_widened(const Stored* p) {
  return widen<Stored>(*reinterpret_cast<const LooseHalves*>(p));
}

template <class Stored>
inline void widen_all(float* to, const Stored* from, int64_t count) {
  int64_t i = 0;
  for (; i + kWidth<float> <= count; i += kWidth<float>) store(to + i, load_widened(from + i));
  for (; i < count; ++i) to[i] = to_float(from[i]);
}

// The low (0) or high (1) half of each 32-bit word.
template <class Stored, int which>
[[gnu::always_inline]] inline Vector<float> widen_half(Vector<float> words) {
  using Unsigned = VectorOf<float>::Unsigned;
  const Unsigned bits = reinterpret_cast<Unsigned>(words);
  if constexpr (std::is_same_v<Stored, bf16>)
    return reinterpret_cast<Vector<float>>(which == 0 ? bits << 16 : bits & 0xffff0000u);
  else
    return widen<Stored>(__builtin_convertvector(which == 0 ? bits & 0xffffu : bits >> 16, Halves));
}

}  // namespace hinoki::kernels::HINOKI_TARGET
