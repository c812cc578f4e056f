// The matrix product as plain loops: one chain of fused multiply-adds per element, or the sum in double with the bound
// on what any order and any rounding of it may differ by.
#pragma once
#include <cmath>
#include <limits>
#include <vector>

namespace hinoki {

template <class T>
struct MatrixView {
  const T* data;
  int64_t ld;
  bool transposed;
  T at(int64_t i, int64_t j) const { return transposed ? data[j * ld + i] : data[i * ld + j]; }
};

// `start` is where the element's chain begins.
template <class T>
T chain(const MatrixView<T>& a, const MatrixView<T>& b, int64_t i, int64_t j, int64_t k, T start) {
  for (int64_t p = 0; p < k; ++p) start = std::fma(a.at(i, p), b.at(p, j), start);
  return start;
}

struct Bounded {
  double value, error;
};

// Summing n terms in working precision, each rounded once or twice, stays within n * epsilon * sum of magnitudes.
template <class T>
Bounded exact(const MatrixView<T>& a, const MatrixView<T>& b, int64_t i, int64_t j, int64_t k, T start) {
  long double sum = start, magnitude = std::abs(start);
  for (int64_t p = 0; p < k; ++p) {
    const long double product = (long double)(a.at(i, p)) * b.at(p, j);
    sum += product;
    magnitude += std::abs(product);
  }
  return {double(sum), double(magnitude * (k + 1) * std::numeric_limits<T>::epsilon())};
}

}  // namespace hinoki
