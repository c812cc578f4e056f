#include "models/gpt2.h"

#include <cmath>

#include "models/activation.h"
#include "models/check_size.h"

namespace hinoki {
namespace {

// GPT-2 scales what writes into the residual stream by the number of writers.
Init gpt2_reading(const Gpt2Config& c) { return normal_init(c.initializer_range); }
Init gpt2_writing(const Gpt2Config& c) { return normal_init(c.initializer_range / std::sqrt(2.0 * double(c.n_layer))); }

struct Gpt2Layer {
  LayerNorm norm1, norm2;
  Linear qkv, proj;
  Mlp mlp;
  Dropout attention_dropout, mlp_dropout;
  uint64_t site;

  Gpt2Layer(Scope s, const Gpt2Config& c)
      : norm1(s / "ln_1", c.n_embd, c.layer_norm_epsilon),
        norm2(s / "ln_2", c.n_embd, c.layer_norm_epsilon),
        qkv(s / "attn" / "c_attn", c.n_embd, 3 * c.n_embd, gpt2_reading(c), true, WeightLayout::in_out),
        proj(s / "attn" / "c_proj", c.n_embd, c.n_embd, gpt2_writing(c), true, WeightLayout::in_out),
        mlp{Linear(s / "mlp" / "c_fc", c.n_embd, c.n_inner, gpt2_reading(c), true, WeightLayout::in_out),
            Linear(s / "mlp" / "c_proj", c.n_inner, c.n_embd, gpt2_writing(c), true, WeightLayout::in_out),
            gelu_form(c.activation_function)},
        attention_dropout(s / "attn" / "resid_dropout", c.resid_pdrop),
        mlp_dropout(s / "mlp" / "dropout", c.resid_pdrop),
        site((s / "attn").site()) {}
};

class Gpt2 final : public CausalLm {
 public:
  Gpt2(const Gpt2Config& config, Scope below, LanguageHead head) : Gpt2(config, below, below / "transformer", head) {}

  Tensor hidden(const Tensor& ids, const Tensor& segments, const Pass& pass,
                std::vector<Tensor>* states) const override {
    check_length(ids.size(-1));
    return run(embedding(ids, wte_, wpe_), pass, states, [this, segments, pass](int64_t i, const Tensor& qkv) {
      return attention(qkv, {.heads = config_.n_head,
                             .layout = QkvLayout::blocks,
                             .segments = segments,
                             .dropout = pass.training ? config_.attn_pdrop : 0,
                             .key = pass.key(layers_[i].site),
                             .first_row = pass.first_row});
    });
  }

  Tensor hidden_cached(const Tensor& ids, const std::vector<KeyValueCache>& caches,
                       const CacheRows& rows) const override {
    const NoGrad no_grad;
    check_length(rows.longest());
    const Tensor x = add(embedding(ids, wte_), embedding(rows.positions, wpe_));
    return run(x, {}, nullptr, [this, &caches, &rows](int64_t i, const Tensor& qkv) {
      return attention_cached(qkv, caches[i], rows, {.heads = config_.n_head, .layout = QkvLayout::blocks});
    });
  }

  std::vector<KeyValueCache> make_caches(int64_t lines, int64_t capacity) const override {
    std::vector<KeyValueCache> caches;
    for (size_t i = 0; i < layers_.size(); ++i)
      caches.push_back(make_cache(lines, capacity, config_.n_head, config_.n_embd / config_.n_head, wte_));
    return caches;
  }

  const Tensor& head() const override { return head_; }
  const Tensor& token_embedding() const override { return wte_; }
  int64_t max_positions() const override { return config_.n_positions; }

 private:
  Gpt2(const Gpt2Config& c, Scope top, Scope root, LanguageHead head)
      : config_(c),
        wte_((root / "wte").parameter("weight", {c.vocab_size, c.n_embd}, gpt2_reading(c))),
        wpe_((root / "wpe").parameter("weight", {c.n_positions, c.n_embd}, gpt2_reading(c))),
        embed_dropout_(root / "drop", c.embd_pdrop),
        layers_(make_layers(root / "h", c)),
        final_norm_(root / "ln_f", c.n_embd, c.layer_norm_epsilon),
        head_(head == LanguageHead::none ? Tensor()
              : c.tie_word_embeddings
                  ? wte_
                  : (top / "lm_head").parameter("weight", {c.vocab_size, c.n_embd}, gpt2_reading(c))) {}

  static std::vector<Gpt2Layer> make_layers(Scope s, const Gpt2Config& c) {
    std::vector<Gpt2Layer> layers;
    for (int64_t i = 0; i < c.n_layer; ++i) layers.emplace_back(s / i, c);
    return layers;
  }

  void check_length(int64_t tokens) const {
    require<Exit::usage>(tokens <= max_positions(), "a sequence of ", tokens, " tokens is longer than n_positions = ",
                         max_positions());
  }

  // `embedded`: tokens and positions.
  template <class Attend>
  Tensor run(const Tensor& embedded, const Pass& pass, std::vector<Tensor>* states, const Attend& attend) const {
    return residual_stream(
        embed_dropout_(embedded, pass), norm1(0), int64_t(layers_.size()),
        [this, pass, attend](int64_t i, const Tensor& x, const Tensor& normed) {
          const Gpt2Layer& layer = layers_[i];
          const Tensor attended = from_input(
              [&layer, attend, i](const Tensor& in) { return layer.proj(attend(i, layer.qkv(in))); }, normed);
          const Normed middle = layer.norm2(x, layer.attention_dropout(attended, pass));
          const Inner inner = inner_array(i, config_.n_layer, x.numel() / x.size(-1), config_.n_inner);
          const Tensor out = from_input([&layer, inner](const Tensor& in) { return layer.mlp(in, inner); }, middle.normed);
          return norm1(i + 1)(middle.sum, layer.mlp_dropout(out, pass));
        },
        states);
  }

  const LayerNorm& norm1(size_t layer) const { return layer < layers_.size() ? layers_[layer].norm1 : final_norm_; }

  Gpt2Config config_;
  Tensor wte_, wpe_;
  Dropout embed_dropout_;
  std::vector<Gpt2Layer> layers_;
  LayerNorm final_norm_;
  Tensor head_;
};

}  // namespace

void Gpt2Config::check() const {
  check_size("vocab_size", vocab_size, kMostIds);
  check_size("n_embd", n_embd, kWidest);
  check_size("n_layer", n_layer, kMostLayers, 0);
  check_size("n_head", n_head, n_embd);
  check_size("n_inner", n_inner, 16 * kWidest);
  check_size("n_positions", n_positions, kMostIds);
  require<Exit::usage>(n_embd % n_head == 0, "model: n_embd ", n_embd, " is not a multiple of n_head ", n_head);
  for (const double p : {attn_pdrop, embd_pdrop, resid_pdrop})
    require<Exit::usage>(p >= 0 && p < 1, "model: dropout must be in [0, 1)");
  gelu_form(activation_function);
}

std::unique_ptr<CausalLm> make_gpt2(const Gpt2Config& config, Scope below, LanguageHead head) {
  config.check();
  return std::make_unique<Gpt2>(config, below, head);
}

}  // namespace hinoki
