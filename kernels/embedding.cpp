// CPU kernels of the embedding.
#include "kernels/embedding.h"

#include <algorithm>
#include <cstring>

#include "core/base/half.h"
#include "core/base/parallel.h"
#include "core/base/scratch.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kRows = 32;  // of a task, and ids of one in the gradient
constexpr int kCountsSlot = 4, kOrderSlot = 5;

struct Set {
  template <class T>
  T operator()(T, T x) const {
    return x;
  }
};
struct Plus {
  template <class T>
  T operator()(T y, T x) const {
    return y + x;
  }
};

template <class Combine, class T, class Stored>
void combine_row(T* __restrict y, const Stored* __restrict x, int64_t n) {
  for (int64_t c = 0; c < n; ++c) {
    if constexpr (sizeof(Stored) == 2)
      y[c] = Combine{}(y[c], T(to_float(x[c])));
    else
      y[c] = Combine{}(y[c], T(x[c]));
  }
}

// y (+)= row `index` of a table stored as `stored`.
template <class Combine, class T>
void combine_table_row(T* y, const void* table, DType stored, int64_t index, int64_t n) {
  if (stored == DType::bf16)
    combine_row<Combine>(y, static_cast<const bf16*>(table) + index * n, n);
  else if (stored == DType::f16)
    combine_row<Combine>(y, static_cast<const f16*>(table) + index * n, n);
  else
    combine_row<Combine>(y, static_cast<const T*>(table) + index * n, n);
}

void check(const Embedding& k) {
  for (int64_t r = 0; r < k.rows; ++r)
    if (k.ids[r] < 0 || k.ids[r] >= k.vocabulary) fail<Exit::data>(id_not_in_table(k.ids[r], r, k.vocabulary));
  check_tables(k);
}

template <class T>
void forward(const Embedding& k) {
  parallel_blocks(k.rows, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* const y = static_cast<T*>(k.y) + r * k.cols;
      combine_table_row<Set>(y, k.table, k.table_dtype, k.ids[r], k.cols);
      if (k.positions)
        combine_table_row<Plus>(y, k.positions, k.positions_dtype, k.first_position + r % k.time, k.cols);
    }
  });
}

// Rows sorted by id, those of one id in their own order: a counting sort. Rows of id i are order[starts[i] ...
// starts[i + 1]).
struct Sorted {
  const int64_t *starts, *order;
};

Sorted sort_by_id(const EmbeddingGrad& k) {
  const auto id_of = [&](int64_t r) { return k.ids ? int64_t(k.ids[r]) : k.first + r % k.time; };
  int64_t* const starts = scratch<int64_t>(kCountsSlot, size_t(k.vocabulary) + 2) + 1;
  int64_t* const order = scratch<int64_t>(kOrderSlot, size_t(k.rows) + 1);
  std::memset(starts - 1, 0, (size_t(k.vocabulary) + 2) * sizeof(int64_t));
  for (int64_t r = 0; r < k.rows; ++r) ++starts[id_of(r)];
  int64_t sum = 0;
  for (int64_t i = 0; i <= k.vocabulary; ++i) {
    const int64_t count = starts[i];
    starts[i] = sum;
    sum += count;
  }
  // Filling moves each start to the next one's, which is why the array begins one place earlier.
  for (int64_t r = 0; r < k.rows; ++r) order[starts[id_of(r)]++] = r;
  return {starts - 1, order};
}

template <class T>
void backward(const EmbeddingGrad& k) {
  const Sorted sorted = sort_by_id(k);
  parallel_blocks(k.vocabulary, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t id = begin; id < end; ++id) {
      T* const sum = static_cast<T*>(k.dtable) + id * k.cols;
      if (!k.accumulate) std::memset(sum, 0, size_t(k.cols) * sizeof(T));
      for (int64_t i = sorted.starts[id]; i < sorted.starts[id + 1]; ++i)
        combine_row<Plus>(sum, static_cast<const T*>(k.dy) + sorted.order[i] * k.cols, k.cols);
    }
  });
}

const bool ready = embedding.provide(kTarget, [](const Embedding& k, Stream) {
  check(k);
  visit_float(k.dtype, [&]<class T>() { forward<T>(k); });
}) && embedding_grad.provide(kTarget, [](const EmbeddingGrad& k, Stream) {
  visit_float(k.dtype, [&]<class T>() { backward<T>(k); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
