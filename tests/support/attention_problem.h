// A problem for the attention kernels: a packed projection, what a kernel makes of it on the device of test::here(),
// and what its formulas make of it, with the error that arithmetic in T may add to each number.
#pragma once
#include <random>

#include "kernels/attention.h"
#include "tests/support/kernel_check.h"
#include "tests/support/reference_attention.h"

namespace hinoki::test {

enum class Layout { per_head, blocks };

struct AttentionCase {
  int64_t batch, heads, dim, time;
  Layout layout = Layout::per_head;
  int64_t documents = 1;  // segments in each row
  double dropout = 0;
  double scale = 0;
  bool causal = true;
};

inline std::ostream& operator<<(std::ostream& out, const AttentionCase& c) {
  return out << c.batch << " x " << c.heads << " heads of " << c.dim << ", time " << c.time << ", documents "
             << c.documents << ", dropout " << c.dropout << (c.causal ? "" : ", both directions");
}

struct AttentionResults {
  Values out, lse, dqkv;
};

// [batch, time, 3 * heads * dim] in T.
template <class T>
class AttentionProblem {
 public:
  using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

  explicit AttentionProblem(const AttentionCase& what)
      : c(what),
        width(c.heads * c.dim),
        qkv(random(c.batch * c.time * 3 * width, 1)),
        dout(random(c.batch * c.time * width, 2)) {
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t t = 0; t < c.time; ++t)  // borders differ from row to row
        segments.push_back(int32_t(std::min(c.documents - 1, (t + b) * c.documents / std::max<int64_t>(1, c.time))));
  }

  kernels::AttentionShape shape() const {
    return {.batch = c.batch,
            .heads = c.heads,
            .dim = c.dim,
            .q_time = c.time,
            .kv_time = c.time,
            .scale = c.scale > 0 ? c.scale : 1 / std::sqrt(double(c.dim)),
            .dropout = c.dropout,
            .key = {.seed = 7, .site = 3},
            .first_row = 5,
            .causal = c.causal,
            .dtype = dtype_of<T>()};
  }
  int64_t offset(int part) const { return part * (c.layout == Layout::per_head ? c.dim : width); }
  int64_t head_step() const { return (c.layout == Layout::per_head ? 3 : 1) * c.dim; }
  template <class Rows>
  Rows part(T* base, int which) const {
    return {base + offset(which), c.time * 3 * width, 3 * width, head_step()};
  }
  template <class Rows>
  Rows dense(T* base) const {
    return {base, c.time * width, width, c.dim};
  }

  AttentionResults run() const {
    Operand<T> in(qkv), cotangent(dout), out(c.batch * c.time * width), dqkv(c.batch * c.time * 3 * width);
    Operand<Wide> lse(c.batch * c.heads * c.time);
    Operand<int32_t> documents(segments);
    kernels::AttentionShape s = shape();
    if (c.documents > 1) s.segments = documents.data();
    using kernels::HeadRows, kernels::MutableHeadRows;
    const auto q = part<HeadRows>(in.data(), 0), k = part<HeadRows>(in.data(), 1), v = part<HeadRows>(in.data(), 2);
    kernels::attention.run(
        here(), {}, {.shape = s, .q = q, .k = k, .v = v, .out = dense<MutableHeadRows>(out.data()), .lse = lse.data()});
    kernels::attention_grad.run(here(), {},
                                {.shape = s,
                                 .q = q,
                                 .k = k,
                                 .v = v,
                                 .out = dense<HeadRows>(out.data()),
                                 .dout = dense<HeadRows>(cotangent.data()),
                                 .lse = lse.data(),
                                 .dq = part<MutableHeadRows>(dqkv.data(), 0),
                                 .dk = part<MutableHeadRows>(dqkv.data(), 1),
                                 .dv = part<MutableHeadRows>(dqkv.data(), 2)});
    return {out.values(), lse.values(), dqkv.values()};
  }

  // Queries [time - rows, time) alone, with keys and values as a cache holds them: [batch, capacity, heads, dim]. First
  // `out`, then lse.
  Values run_cached(int64_t time, int64_t rows) const {
    const int64_t capacity = c.time + 3;
    Values keys(c.batch * capacity * width, NAN), values = keys;
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t t = 0; t < time; ++t)
        for (int64_t e = 0; e < width; ++e) {
          keys[(b * capacity + t) * width + e] = element(b, e / c.dim, t, 1, e % c.dim);
          values[(b * capacity + t) * width + e] = element(b, e / c.dim, t, 2, e % c.dim);
        }
    Operand<T> in(qkv), all_keys(keys), all_values(values), out(c.batch * rows * width);
    Operand<Wide> lse(c.batch * c.heads * rows);
    kernels::AttentionShape s = shape();
    s.q_time = rows, s.kv_time = time;
    kernels::attention.run(here(), {},
                           {.shape = s,
                            .q = part<kernels::HeadRows>(in.data() + (time - rows) * 3 * width, 0),
                            .k = {all_keys.data(), capacity * width, width, c.dim},
                            .v = {all_values.data(), capacity * width, width, c.dim},
                            .out = {out.data(), rows * width, width, c.dim},
                            .lse = lse.data()});
    return out.values() + lse.values();
  }

  // One query a row, at place lengths[b], against a cache in whose line lines[b] the keys and values up to there stand.
  // First `out`, then lse.
  Values run_lines(const std::vector<int32_t>& lines, const std::vector<int32_t>& lengths) const {
    const int64_t capacity = c.time + 3, most = 1 + *std::max_element(lengths.begin(), lengths.end());
    Values keys((c.batch + 2) * capacity * width, NAN), values = keys, queries;
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t t = 0; t <= lengths[size_t(b)]; ++t)
        for (int64_t e = 0; e < width; ++e) {
          keys[(lines[size_t(b)] * capacity + t) * width + e] = element(b, e / c.dim, t, 1, e % c.dim);
          values[(lines[size_t(b)] * capacity + t) * width + e] = element(b, e / c.dim, t, 2, e % c.dim);
          if (t == lengths[size_t(b)]) queries.push_back(element(b, e / c.dim, t, 0, e % c.dim));
        }
    Operand<T> q(queries), all_keys(keys), all_values(values), out(c.batch * width);
    Operand<Wide> lse(c.batch * c.heads);
    Operand<int32_t> line(lines), length(lengths);
    kernels::AttentionShape s = shape();
    s.q_time = 1, s.kv_time = most;
    kernels::attention.run(here(), {},
                           {.shape = s,
                            .q = {q.data(), width, width, c.dim},
                            .k = {all_keys.data(), capacity * width, width, c.dim},
                            .v = {all_values.data(), capacity * width, width, c.dim},
                            .out = {out.data(), width, width, c.dim},
                            .lse = lse.data(),
                            .lines = line.data(),
                            .lengths = length.data()});
    return out.values() + lse.values();
  }

  double element(int64_t b, int64_t h, int64_t t, int which, int64_t d) const {
    return qkv[(b * c.time + t) * 3 * width + offset(which) + h * head_step() + d];
  }

  ReferenceHead reference(int64_t b, int64_t h) const { return reference(b, h, 0, c.time); }
  // Of queries [first, time) alone, with keys and values [0, time).
  ReferenceHead reference(int64_t b, int64_t h, int64_t first, int64_t time) const {
    const kernels::AttentionShape s = shape();
    ReferenceHead r{.q_time = time - first, .kv_time = time, .dim = c.dim, .scale = s.scale, .causal = c.causal};
    for (int64_t t = 0; t < time; ++t)
      for (int64_t d = 0; d < c.dim; ++d) {
        if (t >= first) r.q.push_back(element(b, h, t, 0, d));
        r.k.push_back(element(b, h, t, 1, d));
        r.v.push_back(element(b, h, t, 2, d));
        if (t >= first) r.dout.push_back(dout[(b * c.time + t) * width + h * c.dim + d]);
      }
    r.segments.assign(segments.begin() + b * c.time, segments.begin() + b * c.time + time);
    if (c.dropout > 0)
      for (int64_t i = first; i < time; ++i)
        for (int64_t j = 0; j < time; ++j) {
          const int64_t row = ((s.first_row + b) * c.heads + h) * c.time + i;
          const Random4 bits = philox(s.key, row * ((c.time + 3) / 4) + j / 4);
          r.factors.push_back(bits[j % 4] >= uint32_t(c.dropout * 0x1p32) ? 1 / (1 - c.dropout) : 0);
        }
    r.forward();
    r.backward();
    return r;
  }

  // Standard normal values that T holds exactly.
  static Values random(int64_t count, uint32_t seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<double> normal;
    Values v(count);
    for (double& x : v)
      if constexpr (std::is_same_v<T, bf16>)
        x = to_float(to_bf16(float(normal(engine))));
      else
        x = T(normal(engine));
    return v;
  }

  AttentionCase c;
  int64_t width;
  Values qkv, dout;
  std::vector<int32_t> segments;
};

}  // namespace hinoki::test
