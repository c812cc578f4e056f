// One query a row against its cache, which is read once where it lies: nothing is packed. The chains of multiply-adds and
// the blocks of keys are those of the whole pass, so the bits are.
#pragma once
#include "kernels/cpu/attention_softmax.h"

namespace hinoki::kernels::HINOKI_TARGET {

template <class T>
class DecodeHead {
 public:
  static constexpr int kLanes = kWidth<T>, kVectors = 4;  // of the output, at a time

  // `count` keys and values, `stride` apart.
  struct Keys {
    const T *k, *v;
    int64_t k_stride, v_stride, count;
  };

  explicit DecodeHead(int64_t dim)
      : dim_(dim), padded_(round_up(dim, kLanes)), pieces_(kSlot, kLanes * dim + padded_ + kKeys + 64) {
    edge_ = pieces_.take(kLanes * dim);
    out_ = pieces_.take(padded_);
    scores_ = pieces_.take(kKeys);
  }

  void run(const T* q, const Keys& keys, T to_log2, T* to) {
    RowState<T> state{.largest = -T(INFINITY), .sums = {}};
    std::fill(out_, out_ + padded_, T(0));
    for (int64_t key = 0; key < keys.count; key += kKeys) {
      const int64_t width = std::min<int64_t>(kKeys, keys.count - key);
      score(q, keys.k + key * keys.k_stride, keys.k_stride, width);
      const T correction = softmax_row<T>(scores_, width, {0, width}, to_log2, state);
      if (correction != 1)
        for (int64_t d = 0; d < padded_; d += kLanes) store(out_ + d, load(out_ + d) * broadcast(correction));
      add_values(keys.v + key * keys.v_stride, keys.v_stride, width);
    }
    const T sum = total(state.sums);
    for (int64_t d = 0; d < dim_; ++d) to[d] = out_[d] / sum;
  }

 private:
  static constexpr int kSlot = 0;

  // scores[j] = the chain over d of q[d] * k[j][d], for a vector of keys at a time.
  void score(const T* q, const T* k, int64_t stride, int64_t width) {
    for (int64_t j = 0; j < width; j += kLanes, k += kLanes * stride) {
      if (width - j >= kLanes) {
        store(scores_ + j, products(q, k, stride));
        continue;
      }
      for (int64_t r = 0; r < kLanes; ++r)  // rows past the last one repeat it: nobody looks at what they give
        std::copy_n(k + std::min(r, width - j - 1) * stride, dim_, edge_ + r * dim_);
      store(scores_ + j, products(q, edge_, dim_));
    }
  }

  Vector<T> products(const T* q, const T* k, int64_t stride) const {
    constexpr int part = kPart<T>;
    Vector<T> sum{};
    int64_t d = 0;
    for (; d + part <= dim_; d += part) {
      Vector<T> v[part];
#pragma GCC unroll 4
      for (int r = 0; r < part; ++r) v[r] = load_parts(k + r * stride + d, part * stride);
      transpose_parts(v);
#pragma GCC unroll 4
      for (int r = 0; r < part; ++r) sum = fma(broadcast(q[d + r]), v[r], sum);
    }
    for (; d < dim_; ++d) {
      Vector<T> v;
      for (int j = 0; j < kLanes; ++j) v[j] = k[j * stride + d];
      sum = fma(broadcast(q[d]), v, sum);
    }
    return sum;
  }

  // out[d] = the chain over j of scores[j] * v[j][d], from what is there.
  void add_values(const T* v, int64_t stride, int64_t width) {
    int64_t d = 0;
    for (; d + kVectors * kLanes <= dim_; d += kVectors * kLanes) add_columns<kVectors>(v + d, stride, width, out_ + d);
    for (; d + kLanes <= dim_; d += kLanes) add_columns<1>(v + d, stride, width, out_ + d);
    for (int64_t j = 0; j < width && d < dim_; ++j) {
      Vector<T> x{};
      for (int64_t i = d; i < dim_; ++i) x[i - d] = v[j * stride + i];
      store(out_ + d, fma(broadcast(scores_[j]), x, load(out_ + d)));
    }
  }

  template <int vectors>
  void add_columns(const T* v, int64_t stride, int64_t width, T* to) const {
    Vector<T> sum[vectors];
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) sum[i] = load(to + i * kLanes);
    for (int64_t j = 0; j < width; ++j, v += stride) {
      const Vector<T> p = broadcast(scores_[j]);
#pragma GCC unroll 4
      for (int i = 0; i < vectors; ++i) add_product<T>(sum[i], p, load(v + i * kLanes));
    }
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) store(to + i * kLanes, sum[i]);
  }

  int64_t dim_, padded_;
  Pieces<T> pieces_;
  T *edge_, *out_, *scores_;
};

template <class T>
void decode_attention(const Attention& call) {
  const AttentionShape& g = call.shape;
  auto head = [&](int64_t task) {
    const int64_t b = task / g.heads, h = task % g.heads, line = call.lines ? call.lines[b] : b;
    DecodeHead<T>(g.dim).run(row_of<T>(call.q, b, h, 0),
                             {.k = row_of<T>(call.k, line, h, 0),
                              .v = row_of<T>(call.v, line, h, 0),
                              .k_stride = call.k.row_stride,
                              .v_stride = call.v.row_stride,
                              .count = call.lengths ? call.lengths[b] + 1 : g.kv_time},
                             T(g.scale * kLog2E), row_of<T>(call.out, b, h, 0));
  };
  const int64_t tasks = g.batch * g.heads;
  if (tasks * g.kv_time * g.dim < 100'000)  // not worth waking anybody
    for (int64_t i = 0; i < tasks; ++i) head(i);
  else
    parallel(tasks, head);
}

}  // namespace hinoki::kernels::HINOKI_TARGET
