#include "models/hubert_encoder.h"

#include <cmath>

#include "core/recompute.h"
#include "models/activation.h"

namespace hinoki {
namespace {

// f(x), of which the backward pass keeps x alone if `how` is `inputs`.
Tensor from_input(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, Recompute how) {
  if (how != Recompute::inputs) return f(x);
  return recompute([f](const std::vector<Tensor>& in) { return std::vector{f(in[0])}; }, {x})[0];
}

std::vector<HubertLayer> make_layers(Scope s, const HubertModelConfig& c) {
  std::vector<HubertLayer> layers;
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) layers.emplace_back(s / i, c);
  return layers;
}

}  // namespace

HubertPositions::HubertPositions(Scope scope, const HubertModelConfig& c)
    : groups_(c.num_conv_pos_embedding_groups), taps_(c.num_conv_pos_embeddings) {
  const Scope s = scope / "conv";
  const double std = std::sqrt(4 / (double(taps_) * double(c.hidden_size)));
  const int64_t inputs = c.hidden_size / groups_;
  bias_ = s.parameter("bias", {c.hidden_size}, zeros_init());
  // weight_g begins at the length that weight_v has in expectation, where fairseq measures it: of the 768 x 48 numbers
  // behind a tap of base, 0.3 % apart.
  length_ = s.parameter("weight_g", {1, 1, taps_}, constant_init(std * std::sqrt(double(c.hidden_size * inputs))));
  direction_ = s.parameter("weight_v", {c.hidden_size, inputs, taps_}, normal_init(std));
}

Tensor HubertPositions::operator()(const Tensor& x) const {
  const Conv1dOptions options{
      .pad_left = taps_ / 2, .pad_right = (taps_ - 1) / 2, .groups = groups_};  // as many frames as before
  return gelu(conv1d(x, weight_norm(direction_, length_), bias_, options), Gelu::erf);
}

HubertLayer::HubertLayer(Scope s, const HubertModelConfig& c)
    : q(s / "attention" / "q_proj", c.hidden_size, c.hidden_size, normal_init(c.initializer_range)),
      k(s / "attention" / "k_proj", c.hidden_size, c.hidden_size, normal_init(c.initializer_range)),
      v(s / "attention" / "v_proj", c.hidden_size, c.hidden_size, normal_init(c.initializer_range)),
      out(s / "attention" / "out_proj", c.hidden_size, c.hidden_size, normal_init(c.initializer_range)),
      attention_norm(s / "layer_norm", c.hidden_size, c.layer_norm_eps),
      final_norm(s / "final_layer_norm", c.hidden_size, c.layer_norm_eps),
      up(s / "feed_forward" / "intermediate_dense", c.hidden_size, c.intermediate_size,
         normal_init(c.initializer_range)),
      down(s / "feed_forward" / "output_dense", c.intermediate_size, c.hidden_size, normal_init(c.initializer_range)),
      form(gelu_form(c.hidden_act)),
      heads(c.num_attention_heads),
      attention_dropout(c.attention_dropout),
      hidden_dropout(s / "dropout", c.hidden_dropout),
      inner_dropout(s / "feed_forward" / "intermediate_dropout", c.activation_dropout),
      output_dropout(s / "feed_forward" / "output_dropout", c.hidden_dropout),
      attention_site((s / "attention").site()),
      drop_site((s / "layerdrop").site()) {}

Tensor HubertLayer::attend(const Tensor& x, const Tensor& segments, const Pass& pass) const {
  const Tensor qkv = linear_joined(x, {q.weight, k.weight, v.weight}, {q.bias, k.bias, v.bias});
  return out(attention(qkv, {.heads = heads,
                             .layout = QkvLayout::blocks,
                             .segments = segments,
                             .dropout = pass.training ? attention_dropout : 0,
                             .key = pass.key(attention_site),
                             .first_row = pass.first_row,
                             .causal = false}));
}

Tensor HubertLayer::mlp(const Tensor& x, const Pass& pass) const {
  if (pass.training && inner_dropout.p > 0) return down(inner_dropout(gelu(up(x), form), pass));
  return gelu_mlp(x, {up.weight, up.bias, down.weight, down.bias}, form);
}

bool HubertLayer::dropped(double probability, const Pass& pass) const {
  return pass.training && double(unit_float(philox(pass.key(drop_site), 0)[0])) < probability;
}

HubertEncoder::HubertEncoder(Scope scope, const HubertModelConfig& c)
    : pre_norm_(c.do_stable_layer_norm),
      layerdrop_(c.layerdrop),
      positions_(scope / "pos_conv_embed", c),
      norm_(scope / "layer_norm", c.hidden_size, c.layer_norm_eps),
      dropout_(scope / "dropout", c.hidden_dropout),
      layers_(make_layers(scope / "layers", c)) {}

// The frames with what the position convolution says of their neighbours, zeros in place of padding.
Tensor HubertEncoder::place(const Tensor& x, const Tensor& padded, const Pass& pass) const {
  const Tensor real = padded.defined() ? mask_rows(x, padded, zeros({x.size(-1)}, x.dtype(), x.device())) : x;
  const Tensor moved = positions_(real);
  return dropout_(pre_norm_ ? add(real, moved) : norm_(real, moved).normed, pass);
}

// a = norm(x + attend(x)), y = norm(a + mlp(a)). The two x are one tensor, named twice so that under recompute its
// gradient is the sum of two, as it is without, and not one that is added to in several steps.
Tensor HubertEncoder::post_norm_layer(const HubertLayer& l, const Tensor& x, const Tensor& same_x, const Tensor& padded,
                                      const Pass& pass, Recompute how) const {
  const Tensor attended =
      from_input([&l, padded, pass](const Tensor& in) { return l.attend(in, padded, pass); }, same_x, how);
  const Tensor a = l.attention_norm(x, l.hidden_dropout(attended, pass)).normed;
  const Tensor inner = from_input([&l, pass](const Tensor& in) { return l.mlp(in, pass); }, a, how);
  return l.final_norm(a, l.output_dropout(inner, pass)).normed;
}

// a = x + attend(norm(x)), y = a + mlp(norm(a)), and y's norm for whoever reads it
Normed HubertEncoder::pre_norm_layer(const HubertLayer& l, const LayerNorm& next, const Normed& x, const Tensor& padded,
                                     const Pass& pass, Recompute how) const {
  const Tensor attended =
      from_input([&l, padded, pass](const Tensor& in) { return l.attend(in, padded, pass); }, x.normed, how);
  const Normed a = l.final_norm(x.sum, l.hidden_dropout(attended, pass));
  const Tensor inner = from_input([&l, pass](const Tensor& in) { return l.mlp(in, pass); }, a.normed, how);
  return next(a.sum, l.output_dropout(inner, pass));
}

Tensor HubertEncoder::operator()(Tensor x, const Tensor& padded, const Pass& pass, Recompute how,
                                 std::vector<Tensor>* states, int64_t layers) const {
  const auto all = int64_t(layers_.size()), count = layers < 0 ? all : layers;
  require(count <= all, "HuBERT: ", count, " layers of ", all, " are asked for");
  const auto in_segment = [how](const Segment& f, const std::vector<Tensor>& in) {
    return how == Recompute::full ? recompute(f, in) : f(in);
  };
  x = place(x, padded, pass);
  if (!pre_norm_) {
    for (int64_t i = 0; i < count; ++i) {
      if (states) states->push_back(x);
      const HubertLayer& layer = layers_[i];
      if (layer.dropped(layerdrop_, pass)) continue;
      x = in_segment(
          [=, this, &layer](const std::vector<Tensor>& in) -> std::vector<Tensor> {
            return {post_norm_layer(layer, in[0], in[1], padded, pass, how)};
          },
          {x, x})[0];
    }
    if (states) states->push_back(x);
    return x;
  }
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < count; ++i)
    if (!layers_[i].dropped(layerdrop_, pass)) kept.push_back(i);
  // Each layer makes the norm that the next one reads, and the last one the final norm: of a model that is cut short,
  // it is not used.
  const auto norm_of = [&](size_t k) -> const LayerNorm& {
    return k < kept.size() ? layers_[kept[k]].attention_norm : norm_;
  };
  Normed stream{x, norm_of(0)(x)};
  for (int64_t i = 0, k = 0; i < count; ++i) {
    if (states) states->push_back(stream.sum);
    if (k == int64_t(kept.size()) || kept[k] != i) continue;
    const HubertLayer& layer = layers_[i];
    const LayerNorm& next = norm_of(++k);
    const auto out = in_segment(
        [=, this, &layer, &next](const std::vector<Tensor>& in) -> std::vector<Tensor> {
          const Normed y = pre_norm_layer(layer, next, {in[0], in[1]}, padded, pass, how);
          return {y.sum, y.normed};
        },
        {stream.sum, stream.normed});
    stream = {out[0], out[1]};
  }
  const Tensor& y = count == all ? stream.normed : stream.sum;
  if (states) states->push_back(y);
  return y;
}

}  // namespace hinoki
