#include "train/hubert_examples.h"

#include <algorithm>

namespace hinoki {

HubertExamples::HubertExamples(const HubertConfig& config, const SpeechCorpus& corpus, const LabelCorpus& labels)
    : config_(config),
      corpus_(corpus),
      labels_(labels),
      batches_(corpus, config.rows(), uint64_t(config.train.seed)),
      stride_(labels.stride(config.frame_rate())) {
  labels.check_lengths(config.frame_rate(), [&](int64_t samples) { return config.model.frames(samples); });
}

RandomKey HubertExamples::key(const char* site, int64_t step) const {
  return {.seed = uint64_t(config_.train.seed), .site = hash_name(site), .step = uint64_t(step)};
}

HubertBatch HubertExamples::make(const std::vector<Crop>& crops, const MaskRow& mask) const {
  const auto rows = int64_t(crops.size());
  const int64_t samples = config_.row_samples(), frames = config_.row_frames();
  HubertBatch batch{.input = {.samples = empty({rows, samples}, DType::f32),
                              .masked_frames = zeros({rows, frames}, DType::i32)},
                    .labels = empty({rows, frames}, DType::i32)};
  std::fill_n(batch.labels.as<int32_t>(), rows * frames, -100);
  std::vector<int32_t> all;
  bool full = true;
  for (int64_t row = 0; row < rows; ++row) {
    const Crop& crop = crops[size_t(row)];
    batches_.fill(crop, {batch.input.samples.as<float>() + row * samples, size_t(samples)});
    batch.input.lengths.push_back(crop.samples);
    full &= crop.samples == samples;
    all.resize(size_t(labels_.labels(crop.utterance)));
    labels_.read(crop.utterance, all);
    const int64_t first = crop.begin / config_.model.hop(), valid = frames_of(crop);
    for (int64_t t = 0; t < valid; ++t)
      batch.labels.as<int32_t>()[row * frames + t] = all.at(size_t((first + t) * stride_));
    mask(row, {batch.input.masked_frames.as<int32_t>() + row * frames, size_t(valid)});
  }
  if (full) batch.input.lengths.clear();
  batch.targets = HubertForPretraining::count_targets(batch.input.masked_frames, batch.labels);
  return batch;
}

// All rows of a step round their number of spans alike.
void HubertExamples::draw(int64_t position, std::span<int32_t> mask) const {
  const double u = double(unit_float(philox(key("hubert/rounding", position / config_.step_rows()), 0)[0]));
  draw_span_mask(config_.mask, u, key("hubert/spans", position), mask);
}

int64_t HubertExamples::fewest(int64_t step, int64_t frames) const {
  const std::lock_guard lock(mutex_);
  if (counted_step_ != step) {
    fewest_.clear();
    std::vector<int32_t> mask;
    for (int64_t p = step * config_.step_rows(); p < (step + 1) * config_.step_rows(); ++p) {
      mask.resize(size_t(frames_of(batches_.crop(p))));
      draw(p, mask);
      const int64_t masked = std::count(mask.begin(), mask.end(), 1);
      const auto found = fewest_.emplace(int64_t(mask.size()), masked).first;
      found->second = std::min(found->second, masked);
    }
    counted_step_ = step;
  }
  return fewest_.at(frames);
}

HubertBatch HubertExamples::of_step(int64_t step, int64_t first, int64_t rows) const {
  const int64_t before = step * config_.step_rows() + first;
  std::vector<Crop> crops;
  for (int64_t row = 0; row < rows; ++row) crops.push_back(batches_.crop(before + row));
  return make(crops, [&](int64_t row, std::span<int32_t> mask) {
    draw(before + row, mask);
    thin_mask(fewest(step, int64_t(mask.size())), key("hubert/thinning", before + row), mask);
  });
}

HubertBatch HubertExamples::of_validation(int64_t first, int64_t rows) const {
  std::vector<Crop> crops;
  for (int64_t row = 0; row < rows; ++row) crops.push_back(batches_.beginning(first + row));
  return make(crops, [&](int64_t row, std::span<int32_t> mask) {
    const RandomKey key{.site = hash_name("hubert/validation"), .step = uint64_t(crops[size_t(row)].utterance)};
    draw_span_mask(config_.mask, 0.5, key, mask);
  });
}

}  // namespace hinoki
