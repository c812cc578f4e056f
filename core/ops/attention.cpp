// Attention over a packed projection, for training and, with a cache of keys and values, for decoding.
#include "kernels/attention.h"

#include <cmath>

#include "core/ops.h"
#include "kernels/copy.h"

namespace hinoki {
namespace {

struct Packed {
  int64_t batch, time, heads, dim;
  bool per_head;

  Packed(const Tensor& qkv, const AttentionOptions& options)
      : heads(options.heads), per_head(options.layout == QkvLayout::per_head) {
    require(heads > 0 && qkv.rank() == 3 && qkv.contiguous() && qkv.size(2) % (3 * heads) == 0, "attention: qkv ",
            qkv.shape(), " is not [batch, time, 3 * ", heads, " heads * dim]");
    batch = qkv.size(0), time = qkv.size(1), dim = qkv.size(2) / (3 * heads);
  }

  int64_t width() const { return heads * dim; }
  Shape out() const { return {batch, time, width()}; }

  // q, k or v (which = 0, 1, 2) of a tensor packed as qkv is.
  template <class Rows>
  Rows part(const Tensor& packed, int which) const {
    const int64_t offset = which * (per_head ? dim : width());
    return {static_cast<char*>(packed.data()) + offset * int64_t(size_of(packed.dtype())), time * 3 * width(),
            3 * width(), per_head ? 3 * dim : dim};
  }
  template <class Rows>
  Rows dense(const Tensor& x) const {
    return {x.data(), time * width(), width(), dim};
  }

  kernels::AttentionShape shape(const AttentionOptions& options, DType dtype) const {
    const Tensor& segments = options.segments;
    require(!segments.defined() ||
                (segments.dtype() == DType::i32 && segments.shape() == Shape{batch, time} && segments.contiguous()),
            "attention: segments ", segments.defined() ? segments.shape() : Shape{}, " for qkv of batch ", batch,
            " and time ", time, "; they are i32 [batch, time]");
    return {.batch = batch,
            .heads = heads,
            .dim = dim,
            .q_time = time,
            .kv_time = time,
            .scale = options.scale != 0 ? options.scale : 1 / std::sqrt(double(dim)),
            .segments = segments.defined() ? static_cast<const int32_t*>(segments.data()) : nullptr,
            .dropout = options.dropout,
            .key = options.key,
            .first_row = options.first_row,
            .causal = options.causal,
            .dtype = dtype};
  }
};

using kernels::HeadRows, kernels::MutableHeadRows;

// Copies k or v of every row behind what the cache holds.
void append(const Tensor& cache, int64_t length, const Packed& p, const HeadRows& rows) {
  const Tensor to = cache.narrow(1, length, p.time);
  kernels::copy.run(to.device(), to.stream(),
                    {.x = rows.data,
                     .y = to.data(),
                     .shape = to.shape(),
                     .x_strides = {rows.batch_stride, rows.row_stride, rows.head_stride, 1},
                     .y_strides = to.strides(),
                     .element = size_of(cache.dtype())});
}

}  // namespace

Tensor attention(const Tensor& qkv, const AttentionOptions& options) {
  const Packed p(qkv, options);
  const kernels::AttentionShape shape = p.shape(options, qkv.dtype());
  Tensor out = empty(p.out(), qkv.dtype(), qkv.device());
  const Tensor lse = recording({qkv}) ? empty({p.batch, p.heads, p.time}, wide(qkv.dtype()), qkv.device()) : Tensor();
  kernels::attention.run(qkv.device(), qkv.stream(),
                         {.shape = shape,
                          .q = p.part<HeadRows>(qkv, 0),
                          .k = p.part<HeadRows>(qkv, 1),
                          .v = p.part<HeadRows>(qkv, 2),
                          .out = p.dense<MutableHeadRows>(out),
                          .lse = lse.defined() ? lse.data() : nullptr});

  // `segments` keeps alive what shape points to.
  return differentiable(
      out, {qkv},
      [qkv = Saved(qkv), out = Saved(out), lse, p, shape, segments = options.segments](const Tensor& dy) -> Grads {
        require(dy.contiguous(), "attention: gradient of shape ", dy.shape(), " is not contiguous");
        Tensor dqkv = empty_like(*qkv);
        kernels::attention_grad.run(dy.device(), dy.stream(),
                                    {.shape = shape,
                                     .q = p.part<HeadRows>(*qkv, 0),
                                     .k = p.part<HeadRows>(*qkv, 1),
                                     .v = p.part<HeadRows>(*qkv, 2),
                                     .out = p.dense<HeadRows>(*out),
                                     .dout = p.dense<HeadRows>(dy),
                                     .lse = lse.data(),
                                     .dq = p.part<MutableHeadRows>(dqkv, 0),
                                     .dk = p.part<MutableHeadRows>(dqkv, 1),
                                     .dv = p.part<MutableHeadRows>(dqkv, 2)});
        return {dqkv};
      });
}

KeyValueCache make_cache(const Shape& shape, const Tensor& weights) {
  const DType dtype = activation_dtype(weights);
  return {.keys = empty(shape, dtype, weights.device()), .values = empty(shape, dtype, weights.device())};
}

Tensor attention_cached(const Tensor& qkv, KeyValueCache& cache, const AttentionOptions& options) {
  const Packed p(qkv, options);
  require(!options.segments.defined() && options.dropout == 0 && options.causal,
          "attention_cached: causal attention alone, without segments and dropout");
  const Shape wanted{p.batch, cache.keys.size(1), p.heads, p.dim};
  for (const Tensor* t : {&cache.keys, &cache.values})
    require(t->shape() == wanted && t->dtype() == qkv.dtype() && t->contiguous(), "attention_cached: the cache holds ",
            t->dtype(), t->shape(), ", qkv ", qkv.dtype(), qkv.shape(), " needs ", wanted);
  require(cache.length + p.time <= wanted[1], "attention_cached: ", cache.length, " tokens and ", p.time,
          " more do not fit into a cache of ", wanted[1]);
  append(cache.keys, cache.length, p, p.part<HeadRows>(qkv, 1));
  append(cache.values, cache.length, p, p.part<HeadRows>(qkv, 2));
  cache.length += p.time;

  kernels::AttentionShape shape = p.shape(options, qkv.dtype());
  shape.kv_time = cache.length;
  const auto held = [&](const Tensor& t) { return HeadRows{t.data(), wanted[1] * p.width(), p.width(), p.dim}; };
  Tensor out = empty(p.out(), qkv.dtype(), qkv.device());
  kernels::attention.run(qkv.device(), qkv.stream(),
                         {.shape = shape,
                          .q = p.part<HeadRows>(qkv, 0),
                          .k = held(cache.keys),
                          .v = held(cache.values),
                          .out = p.dense<MutableHeadRows>(out)});
  return out;
}

}  // namespace hinoki
