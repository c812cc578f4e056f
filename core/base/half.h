// Conversions of the 16-bit float formats, exact one way and round-to-nearest-even the other.
#pragma once
#include <bit>

#include "core/base/dtype.h"

namespace hinoki {

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

inline float to_float(f16 x) {
  const uint32_t sign = uint32_t(x.bits & 0x8000) << 16, exponent = (x.bits >> 10) & 31, mantissa = x.bits & 1023;
  // A subnormal half is mantissa * 2^-24, which f32 holds exactly.
  const float small = std::bit_cast<float>(std::bit_cast<uint32_t>(float(mantissa) * 0x1p-24f) | sign);
  const uint32_t wide = exponent == 31 ? 0x7f800000u | mantissa << 13 : (exponent + 112) << 23 | mantissa << 13;
  return exponent == 0 ? small : std::bit_cast<float>(wide | sign);
}

inline bf16 to_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {uint16_t(bits >> 16 | 64)};  // NaN stays NaN
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

inline f16 to_f16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  uint32_t half;
  if (size > 0x7f800000u)
    half = 0x7e00 | (size >> 13 & 1023);  // NaN stays NaN
  else if (size >= 0x47800000u)           // 2^16; from 65520 on, the sum below carries into infinity
    half = 0x7c00;
  else if (size < 0x38800000u)  // below 2^-14: the last place of 0.5f is 2^-24, that of the subnormal halves
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(size) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  else
    half = ((size + 0xfff + (size >> 13 & 1)) >> 13) - (112 << 10);
  return {uint16_t(sign | half)};
}

}  // namespace hinoki
