// CUDA kernels of the embedding. Roofline: forward, one row read and one written for each id (4 bytes an element in
// bf16; 6 with positions); backward, each row of dy read once and the table written once (read as well if it
// accumulates): for 32,000 entries and 16,384 rows of 2048 the table's 262 MB of f32 are four fifths of it. 85 % of the
// copy bandwidth is expected of both; sorting the ids costs some 30 us beside it.
#include <climits>

#include "core/base/device.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/numbers.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/visit.h"
#include "kernels/embedding.h"

namespace hinoki::kernels {
namespace {

constexpr int kThreads = 256;

const FaultKind kBadId{Exit::data, [](const Fault& f) { return id_not_in_table(f.value, f.place, f.limit); }};

// `wide` elements of an array of any stored type.
template <int wide, class S>
__device__ void load_some(float (&x)[wide], const S* p) {
  if constexpr (wide == kVector<S> && dtype_of<S>() != DType::f16) {
    load_vector(x, p);
  } else if constexpr (wide == 4) {  // four 16-bit floats
    const uint2 raw = *reinterpret_cast<const uint2*>(p);
    const uint16_t bits[4] = {uint16_t(raw.x), uint16_t(raw.x >> 16), uint16_t(raw.y), uint16_t(raw.y >> 16)};
#pragma unroll
    for (int j = 0; j < 4; ++j) x[j] = widen(S{bits[j]});
  } else {
    for (int j = 0; j < wide; ++j) x[j] = widen(p[j]);
  }
}

// y is T; a table is T, or 16 bits wide.
template <class T, int wide>
__device__ void load_stored(float (&x)[wide], const void* table, DType stored, int64_t at) {
  if constexpr (sizeof(T) == 4) {
    if (stored == DType::bf16) return load_some(x, static_cast<const bf16*>(table) + at);
    if (stored == DType::f16) return load_some(x, static_cast<const f16*>(table) + at);
  }
  load_some(x, static_cast<const T*>(table) + at);
}

template <class T, int wide>
__device__ void store_some(T* p, const float (&x)[wide]) {
  if constexpr (wide == kVector<T>)
    store_vector(p, x);
  else
    for (int j = 0; j < wide; ++j) p[j] = narrow<T>(x[j]);
}

// threadIdx.x runs over columns, threadIdx.y over rows.
template <class T, int wide>
__global__ void __launch_bounds__(kThreads) gather(Embedding k, FaultWord fault) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= k.rows) return;
  const int32_t id = k.ids[row];
  const bool known = 0 <= id && id < k.vocabulary;
  if (!known && threadIdx.x == 0) report_fault(fault, row, id);
  const int64_t position = k.positions != nullptr ? k.first_position + row % k.time : 0;
  for (int64_t c = int(threadIdx.x) * wide; c < k.cols; c += int(blockDim.x) * wide) {
    float x[wide] = {}, position_of[wide];
    if (known) load_stored<T>(x, k.table, k.table_dtype, id * k.cols + c);
    if (k.positions != nullptr) {
      load_stored<T>(position_of, k.positions, k.positions_dtype, position * k.cols + c);
#pragma unroll
      for (int j = 0; j < wide; ++j) x[j] += position_of[j];
    }
    store_some(static_cast<T*>(k.y) + row * k.cols + c, x);
  }
}

// The rows of each id, in their own order: those of id i are order[starts[i]] ... order[starts[i + 1] - 1].
struct Sorting {
  const int32_t* ids = nullptr;
  int rows = 0, vocabulary = 0;
  int *counts = nullptr, *starts = nullptr;                  // [vocabulary], [vocabulary + 1]
  int *tickets = nullptr, *bag = nullptr, *order = nullptr;  // [rows]
};

__device__ bool in_table(const Sorting& s, int32_t id) { return 0 <= id && id < s.vocabulary; }

__global__ void __launch_bounds__(kThreads) count_ids(Sorting s) {
  const int row = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (row >= s.rows) return;
  const int32_t id = s.ids[row];
  if (in_table(s, id)) s.tickets[row] = atomicAdd(s.counts + id, 1);  // others the forward pass has reported
}

// One block: each thread adds up its share of the counts.
__global__ void __launch_bounds__(1024) find_starts(Sorting s) {
  const int share = (s.vocabulary + 1023) / 1024;
  const int begin = min(int(threadIdx.x) * share, s.vocabulary), end = min(begin + share, s.vocabulary);
  int sum = 0, total = 0;
#pragma unroll 4
  for (int i = begin; i < end; ++i) sum += s.counts[i];
  int start = block_sum_before(sum, total);
  for (int i = begin; i < end; ++i) {
    s.starts[i] = start;
    start += s.counts[i];
  }
  if (threadIdx.x == 0) s.starts[s.vocabulary] = total;
}

// Tickets were given out in any order, so a bag holds the right rows in any order.
__global__ void __launch_bounds__(kThreads) fill_bags(Sorting s) {
  const int row = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (row >= s.rows) return;
  const int32_t id = s.ids[row];
  if (in_table(s, id)) s.bag[s.starts[id] + s.tickets[row]] = row;
}

// A row's place is the number of smaller ones in its bag. Rows of a frequent id read the same bag at the same time.
__global__ void __launch_bounds__(kThreads) order_bags(Sorting s) {
  const int row = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (row >= s.rows) return;
  const int32_t id = s.ids[row];
  if (!in_table(s, id)) return;
  const int begin = s.starts[id], end = s.starts[id + 1];
  int smaller = 0;
#pragma unroll 8
  for (int i = begin; i < end; ++i) smaller += s.bag[i] < row;
  s.order[begin + smaller] = row;
}

// The rows that one entry of a table adds up: of the sorted order, or every `time`-th one from `first` on.
struct RowsOf {
  const int* order;
  int64_t first, time, count;
  __device__ int64_t operator[](int64_t i) const { return order != nullptr ? order[i] : first + i * time; }
};

__device__ RowsOf rows_of(const EmbeddingGrad& k, const Sorting& s, int64_t entry) {
  if (k.ids != nullptr) return {s.order + s.starts[entry], 0, 0, s.starts[entry + 1] - s.starts[entry]};
  const int64_t first = entry - k.first;
  if (first < 0 || first >= min(k.time, k.rows)) return {nullptr, 0, 1, 0};
  return {nullptr, first, k.time, (k.rows - first + k.time - 1) / k.time};
}

// threadIdx.x runs over columns, threadIdx.y over entries of the table. Loads run ahead of the chain of additions,
// whose order is fixed.
template <class T, int wide>
__global__ void __launch_bounds__(kThreads) add_rows(EmbeddingGrad k, Sorting s) {
  constexpr int kAhead = 8, kPart = wide < 4 ? wide : 4;
  const int64_t entry = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (entry >= k.vocabulary) return;
  const RowsOf rows = rows_of(k, s, entry);
  if (rows.count == 0 && k.accumulate) return;
  const auto* dy = static_cast<const T*>(k.dy);
  for (int64_t c = int(threadIdx.x) * wide; c < k.cols; c += int(blockDim.x) * wide) {
    float* const out = static_cast<float*>(k.dtable) + entry * k.cols + c;
    float sum[wide] = {};
    if (k.accumulate)
      for (int j = 0; j < wide; ++j) sum[j] = out[j];
    int64_t i = 0;
    for (; i + kAhead <= rows.count; i += kAhead) {
      float x[kAhead][wide];
#pragma unroll
      for (int a = 0; a < kAhead; ++a) load_some(x[a], dy + rows[i + a] * k.cols + c);
#pragma unroll
      for (int a = 0; a < kAhead; ++a)
#pragma unroll
        for (int j = 0; j < wide; ++j) sum[j] += x[a][j];
    }
    for (; i < rows.count; ++i) {
      float x[wide];
      load_some(x, dy + rows[i] * k.cols + c);
#pragma unroll
      for (int j = 0; j < wide; ++j) sum[j] += x[j];
    }
#pragma unroll
    for (int j = 0; j < wide; j += kPart) {
      if constexpr (kPart == 4)
        *reinterpret_cast<float4*>(out + j) = make_float4(sum[j], sum[j + 1], sum[j + 2], sum[j + 3]);
      else
        out[j] = sum[j];
    }
  }
}

// Threads over columns, and rows for the rest of a block.
dim3 block_for(int64_t pieces) {
  unsigned x = simt::kWarp;
  while (x < pieces && x < kThreads) x *= 2;
  return {x, kThreads / x};
}

unsigned blocks_for_rows(const char* name, int64_t rows, dim3 block) {
  require(rows >= 0 && rows <= INT_MAX, name, ": ", rows, " rows are too many for its CUDA kernel");
  return unsigned((rows + block.y - 1) / block.y);
}

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

template <class T>
void forward(const Embedding& k, Stream stream) {
  constexpr int kWide = kVector<T>;
  const bool vectors = k.cols % 8 == 0 && aligned(k.table) && aligned(k.positions) && aligned(k.y);
  const dim3 block = block_for(vectors ? k.cols / kWide : k.cols);
  const auto kernel = vectors ? gather<T, kWide> : gather<T, 1>;
  simt::launch(kernel, blocks_for_rows("embedding", k.rows, block), block, 0, stream, k,
               fault_word(stream, kBadId, k.vocabulary));
}

Sorting sort_by_id(const EmbeddingGrad& k, Stream stream) {
  Sorting s;
  s.ids = k.ids;
  s.rows = int(k.rows);
  s.vocabulary = int(k.vocabulary);
  s.counts = cuda_scratch<int>(stream, size_t(2 * k.vocabulary + 1 + 3 * k.rows));
  s.starts = s.counts + k.vocabulary;
  s.tickets = s.starts + k.vocabulary + 1;
  s.bag = s.tickets + k.rows;
  s.order = s.bag + k.rows;
  const unsigned blocks = unsigned((k.rows + kThreads - 1) / kThreads);
  device_table(Device::cuda).fill(s.counts, 0, size_t(k.vocabulary) * sizeof(int), stream);
  simt::launch(count_ids, blocks, kThreads, 0, stream, s);
  simt::launch(find_starts, 1, 1024, 0, stream, s);
  simt::launch(fill_bags, blocks, kThreads, 0, stream, s);
  simt::launch(order_bags, blocks, kThreads, 0, stream, s);
  return s;
}

template <class T>
void backward(const EmbeddingGrad& k, Stream stream) {
  constexpr int kWide = kVector<T>;
  const bool vectors = k.cols % kWide == 0 && aligned(k.dy) && aligned(k.dtable);
  const dim3 block = block_for(vectors ? k.cols / kWide : k.cols);
  const unsigned blocks = blocks_for_rows("embedding_grad", k.vocabulary, block);
  const Sorting s = k.ids != nullptr ? sort_by_id(k, stream) : Sorting{};
  simt::launch(vectors ? add_rows<T, kWide> : add_rows<T, 1>, blocks, block, 0, stream, k, s);
}

const bool ready = embedding.provide(Device::cuda, [](const Embedding& k, Stream stream) {
  check_tables(k);
  visit_cuda_float("embedding", k.dtype, [&]<class T>() { forward<T>(k, stream); });
}) && embedding_grad.provide(Device::cuda, [](const EmbeddingGrad& k, Stream stream) {
  require(k.rows >= 0 && k.rows <= INT_MAX && k.vocabulary >= 1 && k.vocabulary < INT_MAX, "embedding_grad: ", k.rows,
          " rows of ", k.vocabulary, " entries are too many for its CUDA kernel");
  visit_cuda_float("embedding_grad", k.dtype, [&]<class T>() { backward<T>(k, stream); });
});

}  // namespace
}  // namespace hinoki::kernels
