#include "models/hubert.h"

#include "core/base/trace.h"
#include "core/recompute.h"

namespace hinoki {
namespace {

void check_input(const HubertInput& in, const HubertModelConfig& c) {
  require(in.samples.rank() == 2 && in.samples.dtype() == DType::f32, "HuBERT: samples ", in.samples.dtype(),
          in.samples.shape(), " are not f32 [batch, samples]");
  const int64_t batch = in.samples.size(0), samples = in.samples.size(1), frames = c.frames(samples);
  require<Exit::data>(frames > 0, "HuBERT: ", samples, " samples are less than a frame, which takes ",
                      c.least_samples());
  require(in.lengths.empty() || int64_t(in.lengths.size()) == batch, "HuBERT: ", in.lengths.size(), " lengths for ",
          batch, " rows");
  for (size_t row = 0; row < in.lengths.size(); ++row)
    require<Exit::data>(c.least_samples() <= in.lengths[row] && in.lengths[row] <= samples, "HuBERT: row ", row,
                        " has ", in.lengths[row], " real samples; a frame takes ", c.least_samples(),
                        ", the batch has ", samples);
  const auto check_mask = [&](const char* name, const Tensor& mask, int64_t size) {
    require(!mask.defined() || (mask.dtype() == DType::i32 && mask.shape() == Shape{batch, size} && mask.contiguous()),
            "HuBERT: ", name, " are ", mask.defined() ? mask.shape() : Shape{}, ", not i32 ", Shape{batch, size});
  };
  check_mask("masked_frames", in.masked_frames, frames);
  check_mask("masked_channels", in.masked_channels, c.hidden_size);
  require<Exit::usage>(!in.masked_frames.defined() || c.has_mask_embedding(),
                       "HuBERT: frames are to be masked, but without mask_time_prob or mask_feature_prob in its "
                       "config the model has no masked_spec_embed");
}

// Real frames of each row behind `convs` convolutions, i32 [batch]; undefined if all are.
Tensor real_frames(const HubertInput& in, const HubertModelConfig& c, int64_t convs, Device device) {
  if (in.lengths.empty()) return {};
  const Tensor frames = empty({int64_t(in.lengths.size())}, DType::i32);
  bool some = false;
  for (size_t row = 0; row < in.lengths.size(); ++row) {
    frames.as<int32_t>()[row] = int32_t(c.frames(in.lengths[row], convs));
    some = some || c.frames(in.lengths[row], convs) < c.frames(in.samples.size(1), convs);
  }
  return some ? to_device(frames, device) : Tensor();
}

// 0 where a channel of a row is masked, else 1: f32 [batch, frames, width].
Tensor channels_that_stay(const Tensor& masked, int64_t frames) {
  const int64_t batch = masked.size(0), width = masked.size(1);
  const Tensor factors = empty({batch, frames, width}, DType::f32);
  const int32_t* const mask = masked.as<int32_t>();
  float* f = factors.as<float>();
  for (int64_t row = 0; row < batch; ++row)
    for (int64_t t = 0; t < frames; ++t)
      for (int64_t i = 0; i < width; ++i) *f++ = mask[row * width + i] ? 0 : 1;
  return factors;
}

}  // namespace

Hubert::Hubert(const HubertModelConfig& config, Scope scope)
    : config_((config.check(), config)),
      features_(scope / "feature_extractor", config),
      projection_(scope / "feature_projection", config),
      masked_spec_embed_(config.has_mask_embedding()
                             ? scope.parameter("masked_spec_embed", {config.hidden_size}, uniform_init(0, 1))
                             : Tensor()),
      encoder_(scope / "encoder", config) {}

Tensor Hubert::padded_frames(const HubertInput& input) const {
  const Tensor real = real_frames(input, config_, -1, Device::cpu);
  if (!real.defined()) return {};
  const int64_t batch = input.samples.size(0), frames = config_.frames(input.samples.size(1));
  const Tensor padded = empty({batch, frames}, DType::i32);
  for (int64_t row = 0; row < batch; ++row)
    for (int64_t t = 0; t < frames; ++t) padded.as<int32_t>()[row * frames + t] = t >= real.as<int32_t>()[row];
  return to_device(padded, device());
}

HubertOutput Hubert::forward(const HubertInput& input, const Pass& pass, std::vector<Tensor>* states,
                             int64_t layers) const {
  check_input(input, config_);
  const Tensor samples = cast(to_device(input.samples, device()), features_.dtype());
  const Tensor lengths = real_frames(input, config_, 1, device());
  HubertOutput out;
  {
    const Trace trace("convolutions");
    std::optional<NoGrad> no_grad;
    if (extractor_frozen) no_grad.emplace();
    const Segment extract = [this, lengths](const std::vector<Tensor>& in) -> std::vector<Tensor> {
      return {features_(in[0], lengths)};
    };
    out.features = recompute == Recompute::full ? hinoki::recompute(extract, {samples})[0] : extract({samples})[0];
  }
  if (gradient_multiplier != 1) out.features = scale_gradient(out.features, gradient_multiplier);
  Tensor x = projection_(out.features, pass);
  if (input.masked_frames.defined()) x = mask_rows(x, to_device(input.masked_frames, device()), masked_spec_embed_);
  if (input.masked_channels.defined())
    x = mul(x, cast(to_device(channels_that_stay(input.masked_channels, x.size(1)), device()), x.dtype()));
  out.hidden = encoder_(x, padded_frames(input), pass, recompute, states, layers);
  return out;
}

}  // namespace hinoki
