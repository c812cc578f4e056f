// How queries, keys and values lie in a packed projection [batch, time, 3 * heads * dim], for the ops that attend.
#pragma once
#include <cmath>

#include "core/ops.h"
#include "kernels/attention.h"

namespace hinoki {

struct PackedQkv {
  int64_t batch, time, heads, dim;
  bool per_head;

  PackedQkv(const Tensor& qkv, const AttentionOptions& options)
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

}  // namespace hinoki
