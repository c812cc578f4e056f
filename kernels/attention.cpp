// The forward pass of attention on the CPU: each group of query rows passes over the blocks of the keys it sees, all
// products done by the tiles of the matrix product.
#include <cmath>

#include "kernels/cpu/attention_decode.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

// Scratch slots of a task.
enum Slot { kSlotPacked, kSlotGroup, kSlotSegments };

template <class T>
class Forward {
 public:
  explicit Forward(const Attention& call)
      : call_(call), g_(call.shape), to_log2_(T(g_.scale * kLog2E)), padded_(round_up(g_.dim, kTileColumns<T>)) {}

  void run() {
    // Long sequences are cut, the later parts first since they have more keys to see.
    const int64_t heads = g_.batch * g_.heads;
    const int64_t part = heads >= 4 * pool().threads() ? g_.q_time : std::min<int64_t>(g_.q_time, 256);
    const int64_t parts = ceil_div(g_.q_time, part);
    parallel(heads * parts, [&](int64_t task) {
      const int64_t begin = (parts - 1 - task / heads) * part;
      Part{*this, task % heads / g_.heads, task % g_.heads, begin, std::min(g_.q_time, begin + part)}.run();
    });
  }

 private:
  // Query rows [begin, end) of one head.
  struct Part {
    const Forward& f;
    int64_t batch, head, begin, end;
    const AttentionShape& g = f.g_;
    const int64_t past = g.kv_time - g.q_time;
    T *keys = nullptr, *values = nullptr;  // packed, from block `first_block` on
    int64_t first_block = 0;
    const KeySpans keys_of{kSlotSegments, g, batch};
    T *queries = nullptr, *scores = nullptr, *out = nullptr;
    RowState<T>* states = nullptr;
    DropoutRow<T> dropout{g};

    void run() {
      pack();
      const int64_t queries_room = kGroupPanels * panel_room<T>(g.dim);
      Pieces<T> pieces(kSlotGroup, queries_room + kTileRows * kStripe + kGroupRows * f.padded_ +
                                       kGroupRows * int64_t(sizeof(RowState<T>) / sizeof(T)) + 256);
      queries = pieces.take(queries_room);
      scores = pieces.take(kTileRows * kStripe);
      out = pieces.take(kGroupRows * f.padded_);
      states = reinterpret_cast<RowState<T>*>(pieces.take(0));
      const Panels panels(end - begin);
      for (int64_t i = 0; i < panels.count; i += kGroupPanels)
        run_group(panels, i, std::min(panels.count, i + kGroupPanels));
    }

    void pack() {
      first_block = keys_of.first[begin] / kKeys;
      const int64_t last = keys_of.end[end - 1], blocks = ceil_div(last, kKeys) - first_block;
      Pieces<T> pieces(kSlotPacked, blocks * kKeys * (g.dim + f.padded_) + 64);
      keys = pieces.take(blocks * kKeys * g.dim);
      values = pieces.take(blocks * kKeys * f.padded_);
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t key = (first_block + b) * kKeys, count = std::min(kKeys, last - key);
        pack_rows(keys + b * kKeys * g.dim, kTileColumns<T> * g.dim, row_of<T>(f.call_.k, batch, head, key),
                  f.call_.k.row_stride, g.dim, count);
        pack_columns(values + b * kKeys * f.padded_, kKeys * kTileColumns<T>, row_of<T>(f.call_.v, batch, head, key),
                     f.call_.v.row_stride, count, g.dim);
      }
    }

    void run_group(const Panels& panels, int64_t from, int64_t to) {
      const int64_t top = begin + panels.begin(from), bottom = begin + panels.begin(to - 1) + panels.height(to - 1);
      const int64_t panel_size = panel_room<T>(g.dim);
      for (int64_t i = from; i < to; ++i) {
        const int64_t row = begin + panels.begin(i);
        transpose_panel(queries + (i - from) * panel_size, row_of<T>(f.call_.q, batch, head, row), f.call_.q.row_stride,
                        g.q_time - row, g.dim);
      }
      std::fill(out, out + (bottom - top) * f.padded_, T(0));
      for (int64_t r = 0; r < bottom - top; ++r) states[r] = {.largest = -T(INFINITY), .sums = {}};
      for (int64_t block = keys_of.first[top] / kKeys; block * kKeys < keys_of.end[bottom - 1]; ++block)
        for (int64_t i = from; i < to; ++i) {
          const int64_t row = begin + panels.begin(i);
          run_tile_row(queries + (i - from) * panel_size, row, panels.height(i), row - top, block);
        }
      for (int64_t r = top; r < bottom; ++r) finish(r, r - top);
    }

    // One panel of query rows, place `local` in the group, with one block of keys.
    void run_tile_row(const T* q, int64_t row, int64_t rows, int64_t local, int64_t block) {
      static constexpr T zero[kTileColumns<T>] = {};
      constexpr int columns = kTileColumns<T>;
      const int64_t key = block * kKeys, width = std::min(kKeys, keys_of.end[row + rows - 1] - key);
      if (width <= 0 || keys_of.first[row] >= key + kKeys) return;
      const T* k = keys + (block - first_block) * kKeys * g.dim;
      const auto score_tile = tile_function<T, PanelLayout::packed>(rows);
      for (int64_t j = 0; j < width; j += columns)
        score_tile({.a = q,
                    .b = k + j * g.dim,
                    .c = scores + j,
                    .ldc = kStripe,
                    .start = zero,
                    .start_stride = 0,
                    .k = g.dim});
      for (int64_t r = 0; r < rows; ++r) softmax(row + r, local + r, scores + r * kStripe, key, width);
      const T* v = values + (block - first_block) * kKeys * f.padded_;
      const auto out_tile = tile_function<T, PanelLayout::striped>(rows);
      for (int64_t d = 0; d < f.padded_; d += columns) {
        T* o = out + local * f.padded_ + d;
        out_tile({.a = scores,
                  .b = v + d * kKeys,
                  .c = o,
                  .ldc = f.padded_,
                  .start = o,
                  .start_stride = f.padded_,
                  .k = width});
      }
    }

    void softmax(int64_t row, int64_t local, T* line, int64_t key, int64_t width) {
      const Visible seen{std::max<int64_t>(0, keys_of.first[row] - key), std::min(width, keys_of.end[row] - key)};
      const T correction = softmax_row(line, width, seen, f.to_log2_, states[local]);
      T* o = out + local * f.padded_;
      if (correction != 1)
        for (int64_t d = 0; d < f.padded_; d += kWidth<T>) store(o + d, load(o + d) * broadcast(correction));
      if (g.dropout > 0) {
        const T* factors = dropout.factors(batch, head, past + row, key, width);
        for (int64_t j = 0; j < width; ++j) line[j] *= factors[j];
      }
    }

    void finish(int64_t row, int64_t local) {
      const T sum = total(states[local].sums);
      T* to = row_of<T>(f.call_.out, batch, head, row);
      const T* o = out + local * f.padded_;
      for (int64_t d = 0; d < g.dim; ++d) to[d] = o[d] / sum;
      if (f.call_.lse)
        static_cast<T*>(f.call_.lse)[(batch * g.heads + head) * g.q_time + row] =
            states[local].largest * T(g.scale) + std::log(sum);
    }
  };

  const Attention& call_;
  const AttentionShape& g_;
  T to_log2_;
  int64_t padded_;  // dim, to whole tiles
};

void check(const AttentionShape& g) {
  require(g.dim > 0 && g.scale > 0, "attention: dim ", g.dim, ", scale ", g.scale, ": both must be positive");
  require(g.q_time <= g.kv_time, "attention: ", g.q_time, " queries but only ", g.kv_time, " keys");
  require(g.dropout >= 0 && g.dropout < 1, "attention: dropout ", g.dropout, " is not in [0, 1)");
}

// One query a row, of its last place.
bool decodes(const Attention& call) {
  const AttentionShape& g = call.shape;
  const bool fits = g.q_time == 1 && !g.segments && g.dropout == 0 && !call.lse;
  require(fits || (!call.lines && !call.lengths), "attention: with lines of a cache a row has one query, no segments "
          "and no dropout");
  for (int64_t b = 0; fits && call.lengths && b < g.batch; ++b)
    require(0 <= call.lengths[b] && call.lengths[b] < g.kv_time, "attention: row ", b, " has ", call.lengths[b],
            " keys and its own of at most ", g.kv_time);
  return fits;
}

const bool ready = attention.provide(kTarget, [](const Attention& call, Stream) {
  check(call.shape);
  if (call.shape.batch * call.shape.heads * call.shape.q_time == 0) return;
  const bool decode = decodes(call);
  visit_float(call.shape.dtype, [&]<class T>() { decode ? decode_attention<T>(call) : Forward<T>(call).run(); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
