// Sums and maxima over a row with a fixed number of partial results, whatever the width of a vector register: element i
// goes to lane i % kLanes, and lanes combine as a binary tree. So AVX2 and AVX-512 give the same bits, and an error
// grows with n / kLanes. The plain inner loops become vector code with the lanes in registers, if
// everything is inlined: call these from a function marked [[gnu::flatten]].
#pragma once
#include <cstdint>

#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {

template <class T>
constexpr int kLanes = 128 / sizeof(T);  // two AVX-512 registers, four of AVX2: enough to hide an addition's latency

struct Add {
  template <class T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <class T>
  T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

template <class T>
struct Lanes {
  T at[kLanes<T>];

  explicit Lanes(T start) {
    for (T& lane : at) lane = start;
  }

  template <class Combine>
  T combine(Combine f) {
    return halve<kLanes<T> / 2>(f);
  }

 private:
  template <int half, class Combine>
  T halve(Combine f) {
    if constexpr (half == 0) {
      return at[0];
    } else {
      for (int l = 0; l < half; ++l) at[l] = f(at[l], at[l + half]);
      return halve<half / 2>(f);
    }
  }
};

// body(i, lane) for i in [0, n). What body writes for one i must not be read for another.
template <class T, class Body>
inline void for_lanes(int64_t n, Body body) {
  constexpr int kStep = kLanes<T>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep)
#pragma GCC ivdep
    for (int l = 0; l < kStep; ++l) body(i + l, l);
#pragma GCC ivdep
  for (int l = 0; l < int(n - i); ++l) body(i + l, l);
}

// Sum of f(i).
template <class T, class F>
inline T sum_of(int64_t n, F f) {
  Lanes<T> sum(0);
  for_lanes<T>(n, [&](int64_t i, int l) { sum.at[l] += f(i); });
  return sum.combine(Add{});
}

template <class T>
struct Two {
  T first, second;
};

// Sums of both members of f(i), a Two<T>.
template <class T, class F>
inline Two<T> two_sums_of(int64_t n, F f) {
  Lanes<T> first(0), second(0);
  for_lanes<T>(n, [&](int64_t i, int l) {
    const Two<T> v = f(i);
    first.at[l] += v.first;
    second.at[l] += v.second;
  });
  return {first.combine(Add{}), second.combine(Add{})};
}

// Largest f(i); -infinity if there is none. A NaN is not larger than anything.
template <class T, class F>
inline T max_of(int64_t n, F f) {
  Lanes<T> most(-T(__builtin_inf()));
  for_lanes<T>(n, [&](int64_t i, int l) { most.at[l] = Max{}(f(i), most.at[l]); });
  return most.combine(Max{});
}

}  // namespace hinoki::kernels::HINOKI_TARGET
