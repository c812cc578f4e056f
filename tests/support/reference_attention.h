// Attention as its formulas say, in double, with the whole time x time array.
#pragma once
#include <cmath>
#include <limits>
#include <vector>

#include "core/base/philox.h"

namespace hinoki {

// One head: rows of `dim` doubles.
struct ReferenceHead {
  int64_t q_time, kv_time, dim;
  double scale;
  bool causal = true;
  std::vector<double> q = {}, k = {}, v = {}, dout = {};
  std::vector<int32_t> segments = {};  // of the keys; empty: one
  std::vector<double> factors = {};    // [q_time, kv_time] of dropout; empty: all 1
  std::vector<double> p = {}, out = {}, lse = {}, dq = {}, dk = {}, dv = {};

  bool visible(int64_t i, int64_t j) const {
    const int64_t place = kv_time - q_time + i;
    return (!causal || j <= place) && (segments.empty() || segments[j] == segments[place]);
  }
  double dot(const std::vector<double>& a, int64_t i, const std::vector<double>& b, int64_t j) const {
    double sum = 0;
    for (int64_t d = 0; d < dim; ++d) sum += a[i * dim + d] * b[j * dim + d];
    return sum;
  }
  double factor(int64_t i, int64_t j) const { return factors.empty() ? 1 : factors[i * kv_time + j]; }

  void forward() {
    p.assign(q_time * kv_time, 0);
    out.assign(q_time * dim, 0);
    lse.assign(q_time, 0);
    for (int64_t i = 0; i < q_time; ++i) {
      double most = -std::numeric_limits<double>::infinity(), sum = 0;
      for (int64_t j = 0; j < kv_time; ++j)
        if (visible(i, j)) most = std::max(most, p[i * kv_time + j] = scale * dot(q, i, k, j));
      for (int64_t j = 0; j < kv_time; ++j)
        if (visible(i, j)) sum += p[i * kv_time + j] = std::exp(p[i * kv_time + j] - most);
      lse[i] = most + std::log(sum);
      for (int64_t j = 0; j < kv_time; ++j) {
        p[i * kv_time + j] /= sum;
        for (int64_t d = 0; d < dim; ++d) out[i * dim + d] += p[i * kv_time + j] * factor(i, j) * v[j * dim + d];
      }
    }
  }

  void backward() {
    dq.assign(q_time * dim, 0);
    dk.assign(kv_time * dim, 0);
    dv.assign(kv_time * dim, 0);
    for (int64_t i = 0; i < q_time; ++i) {
      const double delta = dot(dout, i, out, i);
      for (int64_t j = 0; j < kv_time; ++j) {
        const double probability = p[i * kv_time + j];
        const double ds = probability * (factor(i, j) * dot(dout, i, v, j) - delta);
        for (int64_t d = 0; d < dim; ++d) {
          dq[i * dim + d] += scale * ds * k[j * dim + d];
          dk[j * dim + d] += scale * ds * q[i * dim + d];
          dv[j * dim + d] += probability * factor(i, j) * dout[i * dim + d];
        }
      }
    }
  }
};

}  // namespace hinoki
