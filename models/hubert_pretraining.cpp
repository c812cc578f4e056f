#include "models/hubert_pretraining.h"

#include <cmath>

#include "core/base/trace.h"
#include "models/check_size.h"

namespace hinoki {
namespace {

constexpr double kCosineEps = 1e-8;  // below which a vector has no direction

// Frames that are predicted: masked, and with a label.
struct Targets {
  std::vector<int32_t> frames;   // counted over the whole batch
  std::vector<int32_t> labels;   // theirs
  std::vector<int64_t> of_rows;  // how many in each row

  Targets(const Tensor& masked, const Tensor& labels_in) : of_rows(size_t(masked.size(0))) {
    require(masked.dtype() == DType::i32 && labels_in.dtype() == DType::i32 && masked.rank() == 2 &&
                labels_in.shape() == masked.shape() && masked.contiguous() && labels_in.contiguous(),
            "HuBERT: labels ", labels_in.dtype(), labels_in.shape(), " are not i32 like masked_frames ",
            masked.shape());
    const int64_t time = masked.size(1);
    for (int64_t i = 0; i < masked.numel(); ++i) {
      const int32_t label = labels_in.as<int32_t>()[i];
      if (masked.as<int32_t>()[i] == 0 || label == -100) continue;
      frames.push_back(int32_t(i));
      labels.push_back(label);
      ++of_rows[size_t(i / time)];
    }
  }
  int64_t count() const { return int64_t(frames.size()); }
};

// Real frames of a row.
int64_t frames_of(const HubertInput& input, int64_t row, const HubertModelConfig& c) {
  return c.frames(input.lengths.empty() ? input.samples.size(1) : input.lengths[size_t(row)]);
}

// `input` has passed through the model, which has checked it.
Targets find_targets(const HubertInput& input, const Tensor& labels, const HubertModelConfig& c) {
  require(input.masked_frames.defined(), "HuBERT: no frames are masked, so there is nothing to predict");
  const Targets targets(input.masked_frames, labels);
  for (const int32_t frame : targets.frames) {
    const int64_t time = labels.size(1), row = frame / time;
    require(frame % time < frames_of(input, row, c), "HuBERT: frame ", frame % time, " of row ", row,
            " is padding, but it is masked and has a label");
  }
  return targets;
}

Tensor numbers_on(const std::vector<int32_t>& values, Device device) {
  return to_device(from_values<int32_t>({int64_t(values.size())}, values), device);
}

}  // namespace

void HubertTargets::check() const {
  check_size("classes", classes, kMostIds);
  check_size("final_dim", final_dim, kWidest);
  require<Exit::usage>(temperature > 0, "model: temperature ", temperature, " is not above 0");
  require<Exit::usage>(feature_penalty >= 0, "model: feature_penalty ", feature_penalty, " is below 0");
}

HubertForPretraining::HubertForPretraining(const HubertModelConfig& config, const HubertTargets& targets, Scope scope)
    : hubert(config, scope),
      targets_((targets.check(), targets)),
      final_proj_(scope.training_only() / "final_proj", config.hidden_size, targets.final_dim,
                  uniform_init(-1 / std::sqrt(double(config.hidden_size)), 1 / std::sqrt(double(config.hidden_size))),
                  true, WeightLayout::out_in,
                  uniform_init(-1 / std::sqrt(double(config.hidden_size)), 1 / std::sqrt(double(config.hidden_size)))),
      label_embeddings_(scope.training_only().parameter("label_embeddings", {targets.classes, targets.final_dim},
                                                        uniform_init(0, 1))) {}

Tensor HubertForPretraining::meet(const Tensor& hidden, const Tensor& rows) const {
  const Tensor all = reshape(hidden, {hidden.size(0) * hidden.size(1), hidden.size(2)});
  return l2_normalize(final_proj_(gather_rows(all, rows)), kCosineEps);
}

Tensor HubertForPretraining::clusters() const {
  return scale(l2_normalize(label_embeddings_, kCosineEps), 1 / targets_.temperature);
}

HubertForPretraining::Loss HubertForPretraining::loss(const HubertInput& input, const Tensor& labels,
                                                      const Pass& pass) const {
  const HubertOutput out = hubert.forward(input, pass);
  const Targets targets = find_targets(input, labels, hubert.config());
  const Device device = hubert.device();
  const Trace trace("loss");
  Tensor x = meet(out.hidden, numbers_on(targets.frames, device));
  const Tensor entropy = linear_cross_entropy(std::move(x), clusters(), numbers_on(targets.labels, device));

  const int64_t batch = out.features.size(0), time = out.features.size(1), dim = out.features.size(2);
  const Tensor weights = zeros({batch, time}, DType::f32);
  for (int64_t row = 0; row < batch; ++row) {
    const int64_t real = frames_of(input, row, hubert.config());
    const double weight =
        targets_.feature_penalty * double(targets.of_rows[size_t(row)]) / (double(real) * double(dim));
    std::fill_n(weights.as<float>() + row * time, real, float(weight));
  }
  const Tensor penalty = weighted_sum_of_squares(out.features, to_device(weights, device));
  return {.total = add(entropy, penalty),
          .cross_entropy = entropy.item(),
          .penalty = penalty.item(),
          .targets = targets.count()};
}

HubertForPretraining::Predictions HubertForPretraining::predict(const HubertInput& input, const Tensor& labels,
                                                                const Tensor& frames) const {
  const NoGrad no_grad;
  const Tensor hidden = hubert.forward(input, {}).hidden;
  const Targets targets =
      frames.defined() ? Targets(frames, labels) : find_targets(input, labels, hubert.config());
  const Device device = hubert.device();
  const Tensor x = meet(hidden, numbers_on(targets.frames, device)), w = clusters();
  Predictions p{.losses = linear_cross_entropy_rows(x, w, numbers_on(targets.labels, device)),
                .likely = {},
                .labels = targets.labels};
  const Tensor logits = to_device(cast(linear(x, w), wide(x.dtype())), Device::cpu);
  visit_float(logits.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < targets.count(); ++i) {
      const T* row = logits.as<T>() + i * targets_.classes;
      p.likely.push_back(int32_t(std::max_element(row, row + targets_.classes) - row));
    }
  });
  return p;
}

int64_t HubertForPretraining::count_targets(const Tensor& masked_frames, const Tensor& labels) {
  return Targets(masked_frames, labels).count();
}

}  // namespace hinoki
