// Element types and the devices that hold them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <ostream>

#include "core/base/check.h"

namespace hinoki {

enum class Device : uint8_t { cpu, cuda };
enum class DType : uint8_t { f32, f64, bf16, f16, i32, i64, u8, u16, u32, i16 };

constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::u8:
      return 1;
    case DType::bf16:
    case DType::f16:
    case DType::u16:
    case DType::i16:
      return 2;
    case DType::f32:
    case DType::i32:
    case DType::u32:
      return 4;
    case DType::f64:
    case DType::i64:
      return 8;
  }
  return 0;
}

constexpr const char* name_of(DType t) {
  constexpr const char* names[] = {"f32", "f64", "bf16", "f16", "i32", "i64", "u8", "u16", "u32", "i16"};
  return names[static_cast<int>(t)];
}

constexpr const char* name_of(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }
inline std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }
inline std::ostream& operator<<(std::ostream& out, Device d) { return out << name_of(d); }

// 16-bit floats as stored; arithmetic is always f32 or wider.
struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<bf16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<f16>() {
  return DType::f16;
}
template <>
constexpr DType dtype_of<int16_t>() {
  return DType::i16;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<uint16_t>() {
  return DType::u16;
}
template <>
constexpr DType dtype_of<uint32_t>() {
  return DType::u32;
}

// What sums over elements of this type are kept in: statistics, gradients of parameters.
constexpr DType wide(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

// Calls f.template operator()<T>() with T = float or double.
template <class F>
decltype(auto) visit_float(DType t, F&& f) {
  if (t == DType::f64) return f.template operator()<double>();
  require(t == DType::f32, "arithmetic on the CPU is f32 or f64, not ", t);
  return f.template operator()<float>();
}

}  // namespace hinoki
