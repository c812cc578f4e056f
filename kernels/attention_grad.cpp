// The backward pass of attention on the CPU. Probabilities are made again from q, k and lse. Each block of keys
// collects dk and dv over the groups of query rows that see it, while dq grows block by block.
#include <cstring>

#include "kernels/cpu/attention_parts.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

// Scratch slots of a task.
enum Slot { kSlotHead, kSlotGroup, kSlotSegments };

template <class T>
constexpr int kColumns = kTileColumns<T>;

template <class T>
class Backward {
 public:
  explicit Backward(const AttentionGrad& call) : call_(call), g_(call.shape) {}

  void run() {
    parallel(g_.batch * g_.heads, [&](int64_t task) { Head(call_, task / g_.heads, task % g_.heads).run(); });
  }

 private:
  // One head of one batch row.
  class Head {
   public:
    Head(const AttentionGrad& call, int64_t batch, int64_t head)
        : call_(call),
          g_(call.shape),
          batch_(batch),
          head_(head),
          time_(g_.kv_time),
          padded_(round_up(g_.dim, kColumns<T>)),
          panel_size_(panel_room<T>(g_.dim)),
          panels_(time_),
          dropout_(g_),
          keys_of_(kSlotSegments, g_, batch) {
      const int64_t keys = round_up(time_, kColumns<T>), rows = panels_.count * panel_size_, block = kKeys * padded_;
      Pieces<T> head_pieces(kSlotHead, 2 * rows + 2 * keys * g_.dim + 4 * time_ * padded_ + 2 * time_ + 1024);
      q_ = head_pieces.take(rows), dout_ = head_pieces.take(rows);
      keys_across_ = head_pieces.take(keys * g_.dim), values_across_ = head_pieces.take(keys * g_.dim);
      keys_down_ = head_pieces.take(time_ * padded_), q_down_ = head_pieces.take(time_ * padded_);
      dout_down_ = head_pieces.take(time_ * padded_), dq_ = head_pieces.take(time_ * padded_);
      delta_ = head_pieces.take(time_), lse_ = head_pieces.take(time_);
      Pieces<T> group_pieces(kSlotGroup, 2 * kGroupRows * kStripe + 2 * block + 1024);
      p_ = group_pieces.take(kGroupRows * kStripe), ds_ = group_pieces.take(kGroupRows * kStripe);
      dk_ = group_pieces.take(block), dv_ = group_pieces.take(block);
    }

    void run() {
      pack();
      std::memset(dq_, 0, time_ * padded_ * sizeof(T));
      for (int64_t key = 0; key < time_; key += kKeys) {
        const int64_t count = std::min(kKeys, time_ - key);
        std::memset(dk_, 0, count * padded_ * sizeof(T));
        std::memset(dv_, 0, count * padded_ * sizeof(T));
        for (int64_t i = 0; i < panels_.count; i += kGroupPanels)
          run_group(i, std::min(panels_.count, i + kGroupPanels), key, count);
        write(call_.dk, key, count, dk_, T(g_.scale));
        write(call_.dv, key, count, dv_, 1);
      }
      write(call_.dq, 0, time_, dq_, T(g_.scale));
    }

   private:
    void pack() {
      const auto rows = [&](const HeadRows& x) { return row_of<T>(x, batch_, head_, 0); };
      for (int64_t i = 0; i < panels_.count; ++i) {
        const int64_t row = panels_.begin(i), count = time_ - row;
        const auto transpose = [&](T* to, const HeadRows& x) {
          transpose_panel(to + i * panel_size_, rows(x) + row * x.row_stride, x.row_stride, count, g_.dim);
        };
        transpose(q_, call_.q);
        transpose(dout_, call_.dout);
      }
      pack_rows(keys_across_, kColumns<T> * g_.dim, rows(call_.k), call_.k.row_stride, g_.dim, time_);
      pack_rows(values_across_, kColumns<T> * g_.dim, rows(call_.v), call_.v.row_stride, g_.dim, time_);
      pack_columns(keys_down_, time_ * kColumns<T>, rows(call_.k), call_.k.row_stride, time_, g_.dim);
      pack_columns(q_down_, time_ * kColumns<T>, rows(call_.q), call_.q.row_stride, time_, g_.dim);
      pack_columns(dout_down_, time_ * kColumns<T>, rows(call_.dout), call_.dout.row_stride, time_, g_.dim);
      const T* lse = static_cast<const T*>(call_.lse) + (batch_ * g_.heads + head_) * time_;
      for (int64_t t = 0; t < time_; ++t) {
        const T* out = rows(call_.out) + t * call_.out.row_stride;
        const T* dout = rows(call_.dout) + t * call_.dout.row_stride;
        T sum = 0;
        for (int64_t d = 0; d < g_.dim; ++d) sum += out[d] * dout[d];
        delta_[t] = sum;
        lse_[t] = lse[t] * T(kLog2E);
      }
    }

    // Panels [from, to) of query rows with keys [key, key + count).
    void run_group(int64_t from, int64_t to, int64_t key, int64_t count) {
      const int64_t top = panels_.begin(from);
      int64_t bottom = top;  // of the rows that see any of these keys
      for (int64_t i = from; i < to; ++i) {
        const int64_t row = panels_.begin(i), end = row + panels_.height(i);
        if (keys_of_.first[row] >= key + count) break;  // so are all later ones
        bottom = end;
        const int64_t width = std::min(count, keys_of_.end[end - 1] - key);
        if (width > 0) run_panel(i, row - top, key, width, count);
      }
      collect(top, bottom, key, count);
    }

    // Scores, probabilities and their gradients of one panel, then its share of dq.
    void run_panel(int64_t i, int64_t local, int64_t key, int64_t width, int64_t count) {
      static constexpr T zero[kColumns<T>] = {};
      const int64_t row = panels_.begin(i), rows = panels_.height(i);
      T *p = p_ + local * kStripe, *ds = ds_ + local * kStripe;
      const auto across = tile_function<T, PanelLayout::packed>(rows);
      for (int64_t j = 0; j < width; j += kColumns<T>) {
        const auto tile = [&](const T* a, const T* b, T* c) {
          across({.a = a + i * panel_size_,
                  .b = b + (key + j) * g_.dim,
                  .c = c + j,
                  .ldc = kStripe,
                  .start = zero,
                  .start_stride = 0,
                  .k = g_.dim});
        };
        tile(q_, keys_across_, p);
        tile(dout_, values_across_, ds);
      }
      // `collect` reads a little to the right of what the rows see: zeros there too.
      const int64_t clear = std::min(count, width + kTileRows);
      for (int64_t r = 0; r < rows; ++r) differentiate_row(row + r, p + r * kStripe, ds + r * kStripe, key, clear);
      const auto down = tile_function<T, PanelLayout::striped>(rows);
      for (int64_t d = 0; d < padded_; d += kColumns<T>) {
        T* dq = dq_ + row * padded_ + d;
        down({.a = ds,
              .b = keys_down_ + d * time_ + key * kColumns<T>,
              .c = dq,
              .ldc = padded_,
              .start = dq,
              .start_stride = padded_,
              .k = width});
      }
    }

    // In: scores and dp of a row. Out: d(p) and ds.
    void differentiate_row(int64_t row, T* p, T* ds, int64_t key, int64_t count) {
      const Visible seen{std::max<int64_t>(0, keys_of_.first[row] - key), keys_of_.end[row] - key};
      const T* factors = g_.dropout > 0 ? dropout_.factors(batch_, head_, row, key, count) : nullptr;
      const Vector<T> scale = broadcast(T(g_.scale * kLog2E)), lse = broadcast(-lse_[row]),
                      delta = broadcast(delta_[row]);
      for (int64_t v = 0; v < ceil_div(count, kWidth<T>); ++v) {
        T *at_p = p + v * kWidth<T>, *at_ds = ds + v * kWidth<T>;
        Vector<T> probability = exp2<T>(fma(load(at_p), scale, lse)), dp = load(at_ds), kept = probability;
        if (factors) {
          const Vector<T> factor = load(factors + v * kWidth<T>);
          kept *= factor;
          dp *= factor;
        }
        Vector<T> dscore = probability * (dp - delta);
        if (!all_visible<T>(seen, v)) {
          const Bits<T> visible = visible_lanes<T>(seen, v);
          kept = visible ? kept : Vector<T>{};
          dscore = visible ? dscore : Vector<T>{};
        }
        store(at_p, kept);
        store(at_ds, dscore);
      }
    }

    // No earlier one sees the key, or a later key.
    int64_t first_query(int64_t key) const { return g_.causal ? key : keys_of_.first[key]; }

    // dv += d(p)^T dout and dk += ds^T q over query rows [top, bottom), which p_ and ds_ hold.
    void collect(int64_t top, int64_t bottom, int64_t key, int64_t count) {
      const Panels keys(count);
      for (int64_t i = 0; i < keys.count; ++i) {
        const int64_t at = keys.begin(i), row = std::max(top, first_query(key + at));
        if (row >= bottom) break;
        const auto tile = tile_function<T, PanelLayout::striped_down>(keys.height(i));
        for (int64_t d = 0; d < padded_; d += kColumns<T>) {
          const auto add = [&](const T* a, const T* b, T* c) {
            T* sum = c + at * padded_ + d;
            tile({
                .a = a + (row - top) * kStripe + at,
                .b = b + d * time_ + row * kColumns<T>,
                .c = sum,
                .ldc = padded_,
                .start = sum,
                .start_stride = padded_,
                .k = bottom - row,
            });
          };
          add(p_, dout_down_, dv_);
          add(ds_, q_down_, dk_);
        }
      }
    }

    void write(const MutableHeadRows& to, int64_t row, int64_t rows, const T* from, T factor) const {
      for (int64_t r = 0; r < rows; ++r, from += padded_) {
        T* line = row_of<T>(to, batch_, head_, row + r);
        for (int64_t d = 0; d < g_.dim; ++d) line[d] = from[d] * factor;
      }
    }

    const AttentionGrad& call_;
    const AttentionShape& g_;
    int64_t batch_, head_, time_, padded_, panel_size_;
    Panels panels_;
    DropoutRow<T> dropout_;
    KeySpans keys_of_;
    // Of the whole head. across: k along dim; down: k along rows.
    T *q_, *dout_, *keys_across_, *values_across_, *keys_down_, *q_down_, *dout_down_, *dq_, *delta_, *lse_;
    T *p_, *ds_, *dk_, *dv_;  // of a group of rows and a block of keys
  };

  const AttentionGrad& call_;
  const AttentionShape& g_;
};

const bool ready = attention_grad.provide(kTarget, [](const AttentionGrad& call, Stream) {
  const AttentionShape& g = call.shape;
  require(g.q_time == g.kv_time, "attention_grad: ", g.q_time, " queries, ", g.kv_time, " keys: must be equal");
  if (g.batch * g.heads * g.kv_time == 0) return;
  visit_float(g.dtype, [&]<class T>() { Backward<T>(call).run(); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
