// CPU kernels of the rotary position embedding.
#include "kernels/rotary.h"

#include "core/base/parallel.h"
#include "kernels/cpu/math.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kRows = 16;  // of a task

// The pairs of one vector. Its two halves and the table never overlap.
template <class T>
void turn(T* __restrict first, T* __restrict second, const T* __restrict cos, const T* __restrict sin, int64_t half,
          T direction) {
#pragma GCC ivdep
  for (int64_t i = 0; i < half; ++i) {
    const T a = first[i], b = second[i], s = direction * sin[i];
    first[i] = a * cos[i] - b * s;
    second[i] = b * cos[i] + a * s;
  }
}

template <class T>
void turn_rows(const Rotary& k, int64_t begin, int64_t end) {
  const int64_t half = k.rotary_dims / 2;
  const T direction = k.inverse ? -1 : 1;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t position = k.positions ? k.positions[r] : r % k.time + k.offset;
    const T* const cos = static_cast<const T*>(k.cos) + position * half;
    const T* const sin = static_cast<const T*>(k.sin) + position * half;
    for (int64_t h = 0; h < k.heads; ++h) {
      T* const head = static_cast<T*>(k.data) + r * k.row_stride + h * k.head_stride;
      turn(head + k.query_offset, head + k.query_offset + half, cos, sin, half, direction);
      turn(head + k.key_offset, head + k.key_offset + half, cos, sin, half, direction);
    }
  }
}

void check(const Rotary& k) {
  require(k.rotary_dims % 2 == 0, "rotary: ", k.rotary_dims, " dimensions do not pair");
  if (k.positions) {
    for (int64_t r = 0; r < k.rows; ++r)
      require(0 <= k.positions[r] && k.positions[r] < k.table_rows, "rotary: position ", k.positions[r], " of row ", r,
              " is not in a table of ", k.table_rows);
  } else {
    require(k.time > 0 && k.offset >= 0 && k.offset + (k.rows < k.time ? k.rows : k.time) <= k.table_rows,
            "rotary: positions up to ", k.offset + k.time, " do not fit in a table of ", k.table_rows);
  }
}

template <class T>
void fill_table(const RotaryTable& k) {
  const int64_t half = k.rotary_dims / 2;
  parallel_blocks(k.positions, 16, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t i = 0; i < half; ++i) {
        const double frequency = __builtin_pow(k.base, -2.0 * double(i) / double(k.rotary_dims));
        const double angle = double(p) / k.scaling * frequency;
        static_cast<T*>(k.cos)[p * half + i] = T(__builtin_cos(angle));
        static_cast<T*>(k.sin)[p * half + i] = T(__builtin_sin(angle));
      }
  });
}

const bool ready = rotary.provide(kTarget, [](const Rotary& k, Stream) {
  check(k);
  visit_float(k.dtype, [&]<class T>() {
    parallel_blocks(k.rows, kRows, [&](int64_t begin, int64_t end) { turn_rows<T>(k, begin, end); });
  });
}) && rotary_table.provide(kTarget, [](const RotaryTable& k, Stream) {
  visit_float(k.dtype, [&]<class T>() { fill_table<T>(k); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
