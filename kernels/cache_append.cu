// CUDA kernel that puts keys and values into a cache: a thread for each 16 bytes of a head, or for each element. Bound by
// memory, and small: a decoding step reads and writes 4 * heads * dim elements for each row.
#include "kernels/cache_append.h"
#include "kernels/cuda/grid.h"

namespace hinoki::kernels {
namespace {

struct Places {
  int64_t items;  // batch * time * heads * pieces of a head
  int time, heads, pieces;
  int64_t capacity;
  const int32_t *lines, *lengths;
};

template <int W, class T>
__global__ void __launch_bounds__(kMapThreads)
    append_rows(HeadRows k, HeadRows v, T* keys, T* values, Places p) {
  const int64_t item = int64_t(blockIdx.x) * kMapThreads + threadIdx.x;
  if (item >= p.items) return;
  const int at = int(item % p.pieces) * W;
  const int64_t vector = item / p.pieces, row = vector / p.heads;
  const int head = int(vector % p.heads), t = int(row % p.time);
  const int64_t b = row / p.time;
  const int64_t to = ((int64_t(p.lines[b]) * p.heads + head) * p.capacity + p.lengths[b] + t) * (p.pieces * W) + at;
  Raw<T, W> key, value;
  key.load(static_cast<const T*>(k.data) + b * k.batch_stride + t * k.row_stride + head * k.head_stride + at);
  value.load(static_cast<const T*>(v.data) + b * v.batch_stride + t * v.row_stride + head * v.head_stride + at);
  key.store(keys + to);
  value.store(values + to);
}

template <int W, class T>
void run(const CacheAppend& k, Stream s) {
  const Places places{.items = k.batch * k.time * k.heads * (k.dim / W),
                      .time = int(k.time),
                      .heads = int(k.heads),
                      .pieces = int(k.dim / W),
                      .capacity = k.capacity,
                      .lines = k.lines,
                      .lengths = k.lengths};
  simt::launch(append_rows<W, T>, blocks_for(places.items, kMapThreads), kMapThreads, 0, s, k.k, k.v,
               static_cast<T*>(k.keys), static_cast<T*>(k.values), places);
}

template <class T>
bool vectors(const HeadRows& x) {
  return reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.batch_stride % kVector<T> == 0 &&
         x.row_stride % kVector<T> == 0 && x.head_stride % kVector<T> == 0;
}

const bool ready = cache_append.provide(Device::cuda, [](const CacheAppend& k, Stream s) {
  visit_cuda_float("cache_append", k.dtype, [&]<class T>() {
    const bool aligned = vectors<T>(k.k) && vectors<T>(k.v) && k.dim % kVector<T> == 0 &&
                         vector_aligned(static_cast<const T*>(k.keys)) && vector_aligned(static_cast<const T*>(k.values));
    aligned ? run<kVector<T>, T>(k, s) : run<1, T>(k, s);
  });
});

}  // namespace
}  // namespace hinoki::kernels
