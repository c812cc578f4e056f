#include "models/gpt_neox.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "models/activation.h"
#include "models/check_size.h"

namespace hinoki {
namespace {

// gpt-neox's initialisations: small_init (Nguyen & Salazar 2019) for what reads the residual stream, wang_init
// (2 / (layers * sqrt(width))) for what writes into it.
Init neox_reading(const GptNeoxConfig& c) {
  return normal_init(c.init == "hf" ? c.initializer_range : std::sqrt(2 / (5 * double(c.hidden_size))));
}
Init neox_writing(const GptNeoxConfig& c) {
  return normal_init(c.init == "hf" ? c.initializer_range
                                    : 2 / (double(c.num_hidden_layers) * std::sqrt(double(c.hidden_size))));
}

struct Attention {
  Linear qkv, dense;
  int64_t heads;
  double dropout;
  uint64_t site;

  Attention(Scope s, const GptNeoxConfig& c)
      : qkv(s / "query_key_value", c.hidden_size, 3 * c.hidden_size, neox_reading(c), c.attention_bias),
        dense(s / "dense", c.hidden_size, c.hidden_size, neox_writing(c), c.attention_bias),
        heads(c.num_attention_heads),
        dropout(c.attention_dropout),
        site(s.site()) {}

  Tensor operator()(const Tensor& x, const RotaryTable& table, const Tensor& segments, const Pass& pass) const {
    const Tensor rotated = rotary(qkv(x), table, heads, QkvLayout::per_head);
    return dense(attention(rotated, {.heads = heads,
                                     .layout = QkvLayout::per_head,
                                     .segments = segments,
                                     .dropout = pass.training ? dropout : 0,
                                     .key = pass.key(site),
                                     .first_row = pass.first_row}));
  }
  Tensor operator()(const Tensor& x, const RotaryTable& table, const KeyValueCache& cache,
                    const CacheRows& rows) const {
    const Tensor rotated = rotary(qkv(x), table, heads, QkvLayout::per_head, 0, rows.positions);
    return dense(attention_cached(rotated, cache, rows, {.heads = heads, .layout = QkvLayout::per_head}));
  }
};

struct NeoxLayer {
  LayerNorm norm1, norm2;
  Attention attention;
  Mlp mlp;
  Dropout attention_dropout, mlp_dropout;

  NeoxLayer(Scope s, const GptNeoxConfig& c)
      : norm1(s / "input_layernorm", c.hidden_size, c.layer_norm_eps),
        norm2(s / "post_attention_layernorm", c.hidden_size, c.layer_norm_eps),
        attention(s / "attention", c),
        mlp{Linear(s / "mlp" / "dense_h_to_4h", c.hidden_size, c.intermediate_size, neox_reading(c)),
            Linear(s / "mlp" / "dense_4h_to_h", c.intermediate_size, c.hidden_size, neox_writing(c)),
            gelu_form(c.hidden_act)},
        attention_dropout(s / "post_attention_dropout", c.hidden_dropout),
        mlp_dropout(s / "post_mlp_dropout", c.hidden_dropout) {}
};

class GptNeox final : public CausalLm {
 public:
  GptNeox(const GptNeoxConfig& config, Scope root, LanguageHead head)
      : config_(config),
        embed_in_((root / "gpt_neox" / "embed_in")
                      .parameter("weight", {config.vocab_size, config.hidden_size}, neox_reading(config))),
        embed_dropout_(root / "gpt_neox" / "emb_dropout", config.hidden_dropout),
        layers_(make_layers(root / "gpt_neox" / "layers", config)),
        final_norm_(root / "gpt_neox" / "final_layer_norm", config.hidden_size, config.layer_norm_eps),
        head_(head == LanguageHead::none ? Tensor()
              : config.tie_word_embeddings
                  ? embed_in_
                  : (root / "embed_out")
                        .parameter("weight", {config.vocab_size, config.hidden_size}, neox_reading(config))) {}

  Tensor hidden(const Tensor& ids, const Tensor& segments, const Pass& pass,
                std::vector<Tensor>* states) const override {
    require<Exit::usage>(ids.size(-1) <= max_positions(), "a sequence of ", ids.size(-1),
                         " tokens is longer than max_position_embeddings = ", max_positions());
    return run(ids, pass, states, [this, segments, pass](int64_t i, const Tensor& x) {
      return layers_[i].attention(x, table(x.size(1)), segments, pass);
    });
  }

  Tensor hidden_cached(const Tensor& ids, const std::vector<KeyValueCache>& caches,
                       const CacheRows& rows) const override {
    const NoGrad no_grad;
    require<Exit::usage>(rows.longest() <= max_positions(), "a sequence of ", rows.longest(),
                         " tokens is longer than max_position_embeddings = ", max_positions());
    return run(ids, {}, nullptr, [this, &caches, &rows](int64_t i, const Tensor& x) {
      return layers_[i].attention(x, table(rows.longest()), caches[i], rows);
    });
  }

  std::vector<KeyValueCache> make_caches(int64_t lines, int64_t capacity) const override {
    std::vector<KeyValueCache> caches;
    for (size_t i = 0; i < layers_.size(); ++i)
      caches.push_back(make_cache(lines, capacity, config_.num_attention_heads, config_.head_size(), embed_in_));
    return caches;
  }

  const Tensor& head() const override { return head_; }
  const Tensor& token_embedding() const override { return embed_in_; }
  int64_t max_positions() const override { return config_.max_position_embeddings; }

 private:
  static std::vector<NeoxLayer> make_layers(Scope s, const GptNeoxConfig& c) {
    std::vector<NeoxLayer> layers;
    for (int64_t i = 0; i < c.num_hidden_layers; ++i) layers.emplace_back(s / i, c);
    return layers;
  }

  // Of the positions that are used: a config may claim more of them than memory could hold.
  const RotaryTable& table(int64_t positions) const {
    if (!table_.cos.defined() || table_.cos.size(0) < positions) {
      const auto rounded = int64_t(std::bit_ceil(uint64_t(std::max<int64_t>(positions, 2048))));
      table_ = rotary_table(std::min(config_.max_position_embeddings, rounded), config_.rotary_dims(),
                            config_.rotary_emb_base, config_.rope_scaling_factor, wide(embed_in_.dtype()),
                            embed_in_.device());
    }
    return table_;
  }

  const LayerNorm& norm1(size_t layer) const { return layer < layers_.size() ? layers_[layer].norm1 : final_norm_; }

  template <class Attend>
  Tensor run(const Tensor& ids, const Pass& pass, std::vector<Tensor>* states, const Attend& attend) const {
    return residual_stream(
        embed_dropout_(embedding(ids, embed_in_), pass), norm1(0), int64_t(layers_.size()),
        [this, pass, attend](int64_t i, const Tensor& x, const Tensor& normed) {
          const Tensor attended = from_input([attend, i](const Tensor& in) { return attend(i, in); }, normed);
          return step(i, x, layers_[i].attention_dropout(attended, pass), pass);
        },
        states);
  }

  // Sequential: a = x + attention(norm1(x)), y = a + mlp(norm2(a)). Parallel: y = x + attention(norm1(x)) +
  // mlp(norm2(x)).
  Normed step(int64_t i, const Tensor& x, const Tensor& attended, const Pass& pass) const {
    const NeoxLayer& layer = layers_[i];
    const LayerNorm& next = norm1(i + 1);
    const Inner inner =
        inner_array(i, config_.num_hidden_layers, x.numel() / x.size(-1), config_.intermediate_size);
    const auto mlp = [&](const Tensor& normed) {
      const auto f = [&m = layer.mlp, inner](const Tensor& in) { return m(in, inner); };
      return layer.mlp_dropout(from_input(f, normed), pass);
    };
    if (config_.use_parallel_residual) return next(x, attended, mlp(layer.norm2(x)));
    const Normed middle = layer.norm2(x, attended);
    return next(middle.sum, mlp(middle.normed));
  }

  GptNeoxConfig config_;
  Tensor embed_in_;
  Dropout embed_dropout_;
  std::vector<NeoxLayer> layers_;
  LayerNorm final_norm_;
  Tensor head_;
  mutable RotaryTable table_;
};

}  // namespace

void GptNeoxConfig::check() const {
  check_size("vocab_size", vocab_size, kMostIds);
  check_size("hidden_size", hidden_size, kWidest);
  check_size("num_hidden_layers", num_hidden_layers, kMostLayers, 0);
  check_size("num_attention_heads", num_attention_heads, hidden_size);
  check_size("intermediate_size", intermediate_size, 16 * kWidest);
  check_size("max_position_embeddings", max_position_embeddings, kMostIds);
  require<Exit::usage>(hidden_size % num_attention_heads == 0, "model: hidden_size ", hidden_size,
                       " is not a multiple of num_attention_heads ", num_attention_heads);
  require<Exit::usage>(rotary_pct >= 0 && rotary_pct <= 1, "model: rotary_pct ", rotary_pct, " is not in [0, 1]");
  require<Exit::usage>(rotary_dims() % 2 == 0, "model: rotary_pct ", rotary_pct, " of head size ", head_size(), " is ",
                       rotary_dims(), " dimensions, which is odd: they are rotated in pairs");
  require<Exit::usage>(rope_scaling_factor >= 1, "model: rope_scaling_factor ", rope_scaling_factor, " is below 1");
  require<Exit::usage>(hidden_dropout >= 0 && hidden_dropout < 1 && attention_dropout >= 0 && attention_dropout < 1,
                       "model: dropout must be in [0, 1)");
  require<Exit::usage>(init == "hf" || init == "small", "model: init is \"hf\" or \"small\", not \"", init, "\"");
  gelu_form(hidden_act);
}

std::unique_ptr<CausalLm> make_gpt_neox(const GptNeoxConfig& config, Scope below, LanguageHead head) {
  config.check();
  return std::make_unique<GptNeox>(config, below, head);
}

}  // namespace hinoki
