// What training, generation and export need of a causal language model, whatever its architecture.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/labelled_rows.h"
#include "models/layers.h"

namespace hinoki {

// Does a model have the map from hidden states to logits? One that only reads, as a reward model does, has none.
enum class LanguageHead { own, none };

// How many of a model's MLPs, the last ones, make their inner array [tokens, inner] again. Most is held while the loss is
// made, and these have left room there for its chunk of logits. Each costs a product, all of them at most a sixth of such
// products: 1.5 % of a step. On a GPU none do: it has the room.
int64_t mlps_made_again(int64_t layers, int64_t tokens, int64_t inner, int64_t vocabulary, Device device);

class CausalLm {
 public:
  virtual ~CausalLm() = default;

  // ids i32 [batch, time] -> the last hidden states after the final norm [batch, time, width]. `segments` (i32, like
  // ids, or undefined) keeps attention inside documents. With `states`, appends the embedding output, the output of
  // every layer but the last, and the returned tensor.
  virtual Tensor hidden(const Tensor& ids, const Tensor& segments, const Pass& pass,
                        std::vector<Tensor>* states = nullptr) const = 0;
  // The same for tokens that follow those in the caches (one for each layer), as `rows` says; no gradient.
  virtual Tensor hidden_cached(const Tensor& ids, const std::vector<KeyValueCache>& caches,
                               const CacheRows& rows) const = 0;
  // Empty caches for `lines` sequences of up to `capacity` tokens.
  virtual std::vector<KeyValueCache> make_caches(int64_t lines, int64_t capacity) const = 0;

  // The output projection [vocab, width]; the embedding itself if tied; undefined without a head.
  virtual const Tensor& head() const = 0;
  virtual const Tensor& token_embedding() const = 0;  // [vocab, width]
  virtual int64_t max_positions() const = 0;
  Device device() const { return token_embedding().device(); }

  // logits [batch, time, vocab] of hidden states.
  Tensor logits(const Tensor& hidden) const { return linear(hidden, head()); }
  // Sum of -log p over labels (i32 [batch, time], -100 ignored), [] in f64.
  Tensor loss(const Tensor& ids, const Tensor& labels, const Tensor& segments, const Pass& pass) const;
  // hidden() at the places `rows` (i32 [count], counted through the batch) alone: [count, width].
  Tensor hidden_rows(const Tensor& ids, const Tensor& segments, const Tensor& rows, const Pass& pass) const;
  // The loss of the same labels, for batches of which little is learned: logits of other places are never made.
  Tensor loss(const Tensor& ids, const LabelledRows& labelled, const Tensor& segments, const Pass& pass) const;

  Recompute recompute = Recompute::none;

 protected:
  // One layer: from the residual stream and its norm to the stream after the layer and the norm its successor reads.
  // Called again by the backward pass under recompute, so it holds what it needs by value.
  using LayerStep = std::function<Normed(int64_t layer, const Tensor& x, const Tensor& normed)>;

  // For the MLP [tokens, inner] of one layer.
  Inner inner_array(int64_t layer, int64_t layers, int64_t tokens, int64_t inner) const;

  // f(x), of which the backward pass keeps x alone if recompute is `inputs`.
  Tensor from_input(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) const;

  // Runs x through all layers; returns the final norm.
  Tensor residual_stream(Tensor x, const LayerNorm& first, int64_t layers, const LayerStep& step,
                         std::vector<Tensor>* states) const;
};

}  // namespace hinoki
