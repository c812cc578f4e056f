// The menu: every differentiable operation. Shapes in brackets; dtype f32 or f64 on the CPU and f32 or bf16 on CUDA
// unless said, with gradients of parameters in f32 or better. On the CPU weights of `linear` and `embedding` may be
// stored as bf16 or f16 where no gradient is wanted. A shape that does not fit is an Error that names the op and both
// shapes.
#pragma once
#include "core/autograd.h"
#include "core/base/philox.h"

namespace hinoki {

// What activations are computed in from weights like these: on the CPU 16-bit weights are widened to f32.
DType activation_dtype(const Tensor& weights);

// Views where possible.
Tensor reshape(const Tensor& x, const Shape& shape);                  // of a contiguous tensor
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end);  // a view
Tensor transpose(const Tensor& x, int axis_a, int axis_b);            // a view
Tensor contiguous(const Tensor& x);                                   // a copy if need be

Tensor add(const Tensor& a, const Tensor& b);  // a + b, equal shapes
Tensor mul(const Tensor& a, const Tensor& b);  // a * b, equal shapes
Tensor scale(const Tensor& x, double factor);  // factor * x
Tensor sum(const Tensor& x);                   // [] of all elements, in a fixed order
Tensor cast(const Tensor& x, DType dtype);     // between float types; no gradient
// x itself (a view), whose gradient is multiplied by `factor`: slows the learning of what lies before it.
Tensor scale_gradient(const Tensor& x, double factor);

// y = x W^T + b for x [..., in], W [out, in]; with in_out, W is stored [in, out] (GPT-2's Conv1D).
enum class WeightLayout { out_in, in_out };
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              WeightLayout layout = WeightLayout::out_in);
// The maps of one x side by side: y = [x W_0^T + b_0, x W_1^T + b_1, ...] for W_i [out_i, in]. Weights of q, k and v
// that a model keeps apart give attention its packed projection in QkvLayout::blocks; no array joins them.
Tensor linear_joined(const Tensor& x, const std::vector<Tensor>& weights, const std::vector<Tensor>& biases = {},
                     WeightLayout layout = WeightLayout::out_in);

// The Gaussian error linear unit (Hendrycks & Gimpel 2016): x * Phi(x), exactly or by its tanh approximation.
enum class Gelu { erf, tanh };
// x is kept, the values are not.
Tensor gelu(const Tensor& x, Gelu form);
struct MlpWeights {
  Tensor up, up_bias = {};      // [inner, in] (in_out: [in, inner]), [inner]
  Tensor down, down_bias = {};  // [out, inner] (in_out: [inner, out]), [out]
  WeightLayout layout = WeightLayout::out_in;
};
// What an MLP does with its first product [rows, inner] until its backward pass: keeps it, or spends a product on it again.
enum class Inner { kept, made_again };
// A transformer's MLP: gelu(x W_up^T + b_up) W_down^T + b_down; biases may be undefined. Of the inner activations at most
// the first product is kept: GELU's values are made again with its gradient.
Tensor gelu_mlp(const Tensor& x, const MlpWeights& weights, Gelu form, Inner inner = Inner::kept);

// (x - mean) / sqrt(var + eps) * weight + bias over the last axis (Ba et al. 2016). bias may be undefined.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps);
// The residual sum x + d1 (+ d2) and its layer norm, in one pass; d2 may be undefined.
struct Normed {
  Tensor sum, normed;
};
Normed residual_layer_norm(const Tensor& x, const Tensor& d1, const Tensor& d2, const Tensor& weight,
                           const Tensor& bias, double eps);

struct Conv1dOptions {
  int64_t stride = 1;
  int64_t pad_left = 0, pad_right = 0;  // zeros before and after each row of the batch
  int64_t groups = 1;
  bool gelu_input = false;  // convolve gelu(x), erf form: of a chain of convolutions only the sums before GELU are kept
};
// y[b, t, o] = bias[o] + sum over k, c of x[b, t * stride + k - pad_left, c] * weight[o, c, k] for x [batch, time, in],
// weight [out, in / groups, kernel] (the layout of PyTorch), bias [out] or undefined -> [batch, frames, out] with
// frames = (time + pads - kernel) / stride + 1. Output channel o sees the input channels of its own group.
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& options);

// Normalises every channel over time, and over the channels of its group (Wu & He 2018): x [batch, time, channels],
// weight and bias [channels], biased variance, eps inside the root. With `lengths`, i32 [batch], only the first
// lengths[b] frames of row b count, and are normalised by those; the others become 0.
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias, double eps,
                  const Tensor& lengths = {});

// v * g / |v| with the norm over all axes but the last, for v [out, in, kernel], g [1, 1, kernel] (Salimans & Kingma
// 2016, as HuBERT's positional convolution uses it).
Tensor weight_norm(const Tensor& v, const Tensor& g);

// How q, k and v lie in the last axis of a packed projection [batch, time, 3 * heads * dim].
enum class QkvLayout { per_head, blocks };  // [heads][q k v][dim] (GPT-NeoX)  or  [q k v][heads][dim] (GPT-2)

// Rotary position embedding (Su et al. 2021), by halves: pairs are (i, i + dims / 2).
struct RotaryTable {
  Tensor cos, sin;   // [positions, dims / 2]
  int64_t dims = 0;  // of each head that are rotated
};
// angle(p, i) = p / scaling * base^(-2 i / dims), computed in double.
RotaryTable rotary_table(int64_t positions, int64_t dims, double base, double scaling, DType dtype,
                         Device device = Device::cpu);
// Rotates q and k of `qkv` in place and returns it: the memory of the input is used up. Row t of a sequence has
// position `first_position` + t, or positions[batch, time] (i32) where given.
Tensor rotary(Tensor qkv, const RotaryTable& table, int64_t heads, QkvLayout layout, int64_t first_position = 0,
              const Tensor& positions = {});

struct AttentionOptions {
  int64_t heads = 1;
  QkvLayout layout = QkvLayout::per_head;
  double scale = 0;      // of the scores; 0: dim^-0.5
  Tensor segments = {};  // i32 [batch, time], non-decreasing along time: a token sees its own segment only
  double dropout = 0;    // of the probabilities
  RandomKey key = {};
  int64_t first_row = 0;  // index of batch row 0 in the global batch, for the dropout mask
  bool causal = true;     // a token sees itself and earlier ones; else all of its segment
};
// Multi-head attention over qkv [batch, time, 3 * heads * dim] -> [batch, time, heads * dim], blockwise with a
// running maximum (Dao et al. 2022): no time x time array exists.
Tensor attention(const Tensor& qkv, const AttentionOptions& options);

// Keys and values of sequences that grow, each [lines, heads, capacity, dim]; a line holds those of one sequence.
struct KeyValueCache {
  Tensor keys, values;
};
// An empty one for activations computed from weights like these.
KeyValueCache make_cache(int64_t lines, int64_t capacity, int64_t heads, int64_t dim, const Tensor& weights);
// Where the tokens of a call [batch, time] go: row b into line lines[b], behind the lengths[b] tokens that are there.
// No line comes twice. Whoever makes one keeps count of the lengths.
struct CacheRows {
  std::vector<int32_t> lines, lengths;
  int64_t time;
  Tensor device_lines, device_lengths;  // i32 [batch], beside the cache
  Tensor positions;                     // i32 [batch, time], likewise: lengths[b] + t

  CacheRows(std::vector<int32_t> lines, std::vector<int32_t> lengths, int64_t time, Device device);
  int64_t batch() const { return int64_t(lines.size()); }
  int64_t longest() const;  // of its sequences, with the new tokens
};
// Appends the keys and values of qkv [batch, time, 3 * heads * dim] to the cache and attends from each query to what its
// line holds up to it. On the CPU the bits of a row are those of `attention` over its whole sequence, whatever the other
// rows are. No gradient.
Tensor attention_cached(const Tensor& qkv, const KeyValueCache& cache, const CacheRows& rows,
                        const AttentionOptions& options);

// table[ids], ids i32 [...] -> [..., width]; with `positions` [n, width], adds positions[first_position + t] at place t
// of the last axis of ids. An id outside the table is an Error that names it and its place.
Tensor embedding(const Tensor& ids, const Tensor& table, const Tensor& positions = {}, int64_t first_position = 0);

// x[rows] for x [n, width] and rows i32 [m], each in [0, n), in any order and as often as wanted -> [m, width]. A row
// outside x is an Error.
Tensor gather_rows(const Tensor& x, const Tensor& rows);

// Rows of x [..., width] where mask (i32, a number for each row) is not 0 are replaced by `value` [width].
Tensor mask_rows(const Tensor& x, const Tensor& mask, const Tensor& value);

// x / max(|x|, eps) over the last axis: dot products of such rows are cosine similarities.
Tensor l2_normalize(const Tensor& x, double eps);

// Sum over rows of weight[row] * |x[row]|^2, [] in f64 on the CPU, for x [..., width] and weights f32, one for each
// row. Rows of weight 0 are not looked at: they may hold anything. No gradient goes to the weights.
Tensor weighted_sum_of_squares(const Tensor& x, const Tensor& weights);

// x / (1 - p) where a random bit of (key, element index) keeps it, else 0 (Srivastava et al. 2014); plus `residual` if
// given. `first_index` is the index of x's first element in the global batch. p = 0 returns x (+ residual).
Tensor dropout(const Tensor& x, double p, const RandomKey& key, int64_t first_index = 0, const Tensor& residual = {});

// Sum over rows of -log softmax(x W^T)[label], [] in f64, for x [rows, width], W [vocab, width], labels i32 [rows];
// label -100 is ignored. Goes chunk by chunk (256 rows or more): the logits of the whole batch never exist, and
// gradients are made while the chunk's logits are there, so the backward pass multiplies no matrices. The gradient of
// x is written over x if the caller hands it over (std::move) and nobody else sees its memory.
Tensor linear_cross_entropy(Tensor x, const Tensor& weight, const Tensor& labels);
// Rows of logits that exist at a time.
int64_t loss_chunk_rows(int64_t vocabulary, Device device);
// The loss of each row instead, f64 [rows], ignored rows 0. No gradient.
Tensor linear_cross_entropy_rows(const Tensor& x, const Tensor& weight, const Tensor& labels);
// log softmax(x W^T)[label] of each row, f64 [rows] on the CPU, 0 where the label is -100, for losses that are more than
// its sum: the backward pass makes the logits again, four products in all. With `entropies`, sets it to those of the
// rows' softmax in nats, f64 [rows] on the CPU, without gradient.
Tensor linear_log_probs(const Tensor& x, const Tensor& weight, const Tensor& labels, Tensor* entropies = nullptr);

// Sum over pairs of -log sigmoid(chosen - rejected) + centring * (chosen + rejected)^2, [] in f64, for rewards
// [2 * pairs], chosen and rejected in turns: the loss of a reward model (Bradley & Terry 1952; Ouyang et al.
// 2022), and the penalty that keeps its rewards around zero (Eisenstein et al. 2023).
Tensor pairwise_loss(const Tensor& rewards, double centring = 0);

enum class DpoLoss { sigmoid, hinge, ipo };
// Direct preference optimisation: the sum over pairs, [] in f64, of a loss of the margin
//   m = (chosen - reference_chosen) - (rejected - reference_rejected)
// in sums of log-probabilities f64 [2 * pairs], chosen and rejected in turns, on the CPU:
//   sigmoid  -(1 - smoothing) log sigmoid(beta m) - smoothing log sigmoid(-beta m)   (Rafailov et al. 2023; smoothing:
//            the share of pairs whose order is wrong, Mitchell 2023)
//   hinge    max(0, 1 - beta m)                                                      (Zhao et al. 2023)
//   ipo      (m - 1 / (2 beta))^2                                                    (Azar et al. 2023)
// No gradient goes to the reference.
Tensor dpo_loss(const Tensor& log_probs, const Tensor& reference, double beta, DpoLoss form = DpoLoss::sigmoid,
                double smoothing = 0);
// Sums of rows that follow each other: y[i] = sum of x[ends[i - 1], ends[i]), f64 on the CPU, in order, for x [rows];
// ends do not decrease, and the last one is the number of rows.
Tensor segment_sums(const Tensor& x, const std::vector<int64_t>& ends);

// Connectionist temporal classification (Graves et al. 2006): the sum over rows of -log p(labels | logits), [] in f64,
// over all alignments of a row's labels with its first `frames` frames. logits [batch, time, classes]; frames and
// label_lengths i32 [batch], labels i32 [total], one row after the other without `blank`, on the CPU (best) or beside
// the logits. A row whose labels and repeats are more than its frames is Exit::data. The gradient is made with the loss.
Tensor ctc_loss(const Tensor& logits, const Tensor& frames, const Tensor& labels, const Tensor& label_lengths,
                int64_t blank);

// One number for each token of an answer, f64 [rows] on the CPU: what was true of it when the answer was sampled, and
// what its scores have made of it since. No gradient goes there.
struct PpoRows {
  Tensor old_log_probs, advantages, old_values, returns;
};
struct PpoLossOptions {
  double clip = 0.2, value_clip = 0.2, value_weight = 0.1;
};
struct PpoLoss {
  Tensor total;                           // [] in f64: the policy's loss + value_weight * the value's
  double policy = 0, value = 0;           // sums over rows
  double clipped = 0, value_clipped = 0;  // rows where the clipped term is the larger one: they have no gradient
  double approximate_kl = 0;              // sum of 0.5 * (log r)^2
  double ratio = 0, ratio_squared = 0;    // sums of r and r^2
  double largest_deviation = 0;           // largest |r - 1|
};
// Proximal policy optimisation (Schulman et al. 2017, equation 7; the value's clip is that of its reference code). With
// r = exp(log_prob - old_log_prob) and the advantage A, the sum over rows of max(-A r, -A clip(r, 1 - clip, 1 + clip));
// with the value v, v' = clip(v, old - value_clip, old + value_clip) and return R, 0.5 * max((v - R)^2, (v' - R)^2).
// log_probs and values are f32, f64 or bf16 [rows], each on any device; all is computed row by row, in f64 on the CPU:
// rows are few.
PpoLoss ppo_loss(const Tensor& log_probs, const Tensor& values, const PpoRows& rows, const PpoLossOptions& options);

}  // namespace hinoki
