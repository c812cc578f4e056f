// Attention of new tokens over a cache of keys and values, for sequences of different lengths in one batch.
#include <algorithm>

#include "core/ops/packed_qkv.h"
#include "kernels/cache_append.h"

namespace hinoki {

using kernels::HeadRows, kernels::MutableHeadRows;

CacheRows::CacheRows(std::vector<int32_t> lines_, std::vector<int32_t> lengths_, int64_t time, Device device)
    : lines(std::move(lines_)), lengths(std::move(lengths_)), time(time) {
  require(lines.size() == lengths.size() && time >= 0, "cache rows: ", lines.size(), " lines, ", lengths.size(),
          " lengths, ", time, " tokens");
  device_lines = to_device(from_values<int32_t>({batch()}, lines), device);
  device_lengths = to_device(from_values<int32_t>({batch()}, lengths), device);
  if (time == 1) {
    positions = device_lengths.view({batch(), 1});
    return;
  }
  const Tensor places = empty({batch(), time}, DType::i32);
  for (int64_t i = 0; i < batch() * time; ++i)
    places.as<int32_t>()[i] = lengths[size_t(i / time)] + int32_t(i % time);
  positions = to_device(places, device);
}

int64_t CacheRows::longest() const {
  return time + (lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end()));
}

KeyValueCache make_cache(int64_t lines, int64_t capacity, int64_t heads, int64_t dim, const Tensor& weights) {
  const Shape shape{lines, heads, capacity, dim};
  const DType dtype = activation_dtype(weights);
  return {.keys = empty(shape, dtype, weights.device()), .values = empty(shape, dtype, weights.device())};
}

namespace {

const int32_t* as_numbers(const Tensor& x) { return static_cast<const int32_t*>(x.data()); }

void check_cached(const PackedQkv& p, const Tensor& qkv, const KeyValueCache& cache, const CacheRows& rows,
                  const AttentionOptions& options) {
  require(!options.segments.defined() && options.dropout == 0 && options.causal,
          "attention_cached: causal attention alone, without segments and dropout");
  require(rows.batch() == p.batch && rows.time == p.time, "attention_cached: qkv ", qkv.shape(), " for ", rows.batch(),
          " rows of ", rows.time, " tokens");
  const Shape& held = cache.keys.shape();
  for (const Tensor* t : {&cache.keys, &cache.values})
    require(t->rank() == 4 && t->shape() == Shape{held[0], p.heads, held[2], p.dim} && t->dtype() == qkv.dtype() &&
                t->contiguous(),
            "attention_cached: the cache holds ", t->dtype(), t->shape(), ", qkv ", qkv.dtype(), qkv.shape(),
            " needs [lines, ", p.heads, ", capacity, ", p.dim, "]");
  for (int64_t b = 0; b < p.batch; ++b)
    require(0 <= rows.lines[b] && rows.lines[b] < held[0] && 0 <= rows.lengths[b] &&
                rows.lengths[b] + p.time <= held[2],
            "attention_cached: ", rows.lengths[b], " tokens of line ", rows.lines[b], " and ", p.time,
            " more do not fit into a cache of ", held[0], " lines of ", held[2]);
}

void append_to_cache(const PackedQkv& p, const Tensor& qkv, const KeyValueCache& cache, const CacheRows& rows) {
  kernels::cache_append.run(qkv.device(), qkv.stream(),
                            {.k = p.part<HeadRows>(qkv, 1),
                             .v = p.part<HeadRows>(qkv, 2),
                             .keys = cache.keys.data(),
                             .values = cache.values.data(),
                             .lines = as_numbers(rows.device_lines),
                             .lengths = as_numbers(rows.device_lengths),
                             .batch = p.batch,
                             .time = p.time,
                             .heads = p.heads,
                             .dim = p.dim,
                             .cache_lines = cache.keys.size(0),
                             .capacity = cache.keys.size(2),
                             .dtype = qkv.dtype()});
}

// Element 0 of row `b`.
template <class Rows>
Rows row(Rows x, int64_t b, DType dtype) {
  using Byte = std::conditional_t<std::is_same_v<Rows, HeadRows>, const char, char>;
  x.data = static_cast<Byte*>(x.data) + b * x.batch_stride * int64_t(size_of(dtype));
  return x;
}

}  // namespace

Tensor attention_cached(const Tensor& qkv, const KeyValueCache& cache, const CacheRows& rows,
                        const AttentionOptions& options) {
  const PackedQkv p(qkv, options);
  check_cached(p, qkv, cache, rows, options);
  const DType dtype = qkv.dtype();
  Tensor out = empty(p.out(), dtype, qkv.device());
  if (out.numel() == 0) return out;
  append_to_cache(p, qkv, cache, rows);

  const int64_t capacity = cache.keys.size(2);
  const auto held = [&](const Tensor& t) {
    return HeadRows{t.data(), p.heads * capacity * p.dim, p.dim, capacity * p.dim};
  };
  kernels::Attention call{.shape = p.shape(options, dtype),
                          .q = p.part<HeadRows>(qkv, 0),
                          .k = held(cache.keys),
                          .v = held(cache.values),
                          .out = p.dense<MutableHeadRows>(out)};
  const auto run = [&](const kernels::Attention& c) { kernels::attention.run(qkv.device(), qkv.stream(), c); };
  // One query a row: all rows together, wherever their sequences lie. CUDA's kernel of it takes whole vectors.
  if (p.time == 1 && (qkv.device() == Device::cpu || p.dim % 8 == 0)) {
    call.shape.kv_time = rows.longest();
    call.lines = as_numbers(rows.device_lines);
    call.lengths = as_numbers(rows.device_lengths);
    run(call);
    return out;
  }
  if (std::all_of(rows.lengths.begin(), rows.lengths.end(), [](int32_t n) { return n == 0; })) {
    call.k = p.part<HeadRows>(qkv, 1);  // nothing else is seen
    call.v = p.part<HeadRows>(qkv, 2);
    run(call);
    return out;
  }
  for (int64_t b = 0; b < p.batch; ++b) {
    kernels::Attention one = call;
    one.shape.batch = 1;
    one.shape.kv_time = rows.lengths[b] + p.time;
    one.q = row(call.q, b, dtype);
    one.k = row(call.k, rows.lines[b], dtype);
    one.v = row(call.v, rows.lines[b], dtype);
    one.out = row(call.out, b, dtype);
    run(one);
  }
  return out;
}

}  // namespace hinoki
