// 2^x of a vector: x = n + f with n a whole number and |f| <= 1/2; 2^f by a polynomial, 2^n added to its exponent.
#pragma once
#include "kernels/cpu/vector.h"

namespace hinoki::kernels::HINOKI_TARGET {

// (2^f - 1) / f, interpolated at Chebyshev nodes; relative error of 2^f 4e-9 (float) and 2e-18 (double).
template <class T>
struct Exp2;
template <>
struct Exp2<float> {
  static constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest whole number in the low bits
  static constexpr float kLowest = -126;      // below, the result is 0: nothing subnormal
  static constexpr int kMantissa = 23;
  static constexpr float kTerms[] = {0.6931471880262288f,   0.24022650760568126f,   0.05550357114219078f,
                                     0.009618082557277852f, 0.0013390863364671234f, 0.0001545316294512069f};
};
template <>
struct Exp2<double> {
  static constexpr double kRound = 0x1.8p52, kLowest = -1022;
  static constexpr int kMantissa = 52;
  static constexpr double kTerms[] = {0.6931471805599453,     0.24022650695910078,    0.055504108664821625,
                                      0.009618129107622367,   0.0013333558146406473,  0.00015403530407063034,
                                      1.5252733841554054e-05, 1.3215474290031647e-06, 1.0178057088976475e-07,
                                      7.059904773721954e-09,  4.455817709530711e-10,  1.8445732080677972e-11};
};

// For x <= 126 and -infinity. 2^0 is 1 exactly, and NaN stays NaN.
template <class T>
inline Vector<T> exp2(Vector<T> x) {
  using E = Exp2<T>;
  constexpr int terms = sizeof(E::kTerms) / sizeof(T);
  const Vector<T> shifted = x + broadcast(E::kRound), f = x - (shifted - broadcast(E::kRound));
  Vector<T> p = broadcast(E::kTerms[terms - 1]);
#pragma GCC unroll 12
  for (int i = terms - 2; i >= 0; --i) p = fma(p, f, broadcast(E::kTerms[i]));
  p = fma(p, f, broadcast(T(1)));
  using U = typename VectorOf<T>::Unsigned;
  const U scaled = reinterpret_cast<U>(p) + (reinterpret_cast<U>(shifted) << E::kMantissa);
  return x < broadcast(E::kLowest) ? Vector<T>{} : reinterpret_cast<Vector<T>>(scaled);
}

}  // namespace hinoki::kernels::HINOKI_TARGET
