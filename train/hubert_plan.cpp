#include "train/hubert_plan.h"

#include <algorithm>
#include <cmath>

#include "train/hubert_task.h"

namespace hinoki {
namespace {

// Elements that one row keeps for its backward pass, in terms of what ops capture.
struct RowMemory {
  const HubertModelConfig& m;
  int64_t samples;
  Device device;

  double made(size_t conv) const {  // by a convolution
    return double(m.conv_dim[conv]) * double(m.frames(samples, int64_t(conv) + 1));
  }
  // Of each convolution what it made. A layer norm's output is made again; a group norm's is kept, too.
  double extractor() const {
    double sum = 0;
    for (size_t i = 0; i < m.conv_dim.size(); ++i)
      sum += made(i) * (i == 0 && m.feat_extract_norm == "group" ? 2 : 1);
    return sum;
  }
  // The backward pass of the second convolution: the first one's two arrays and a gradient of that size, and what came.
  double second_conv() const { return m.conv_dim.size() < 2 ? 3 * made(0) : 3 * made(0) + made(1); }

  double width() const { return double(m.hidden_size); }
  double frames() const { return double(m.frames(samples)); }
  // A layer's two sums, of which norms are made again; q, k, v and, on a GPU, what attention gives; the MLP before GELU
  // and, if dropout follows, behind it.
  double inputs() const { return 2 * width(); }
  double attention() const { return (device == Device::cpu ? 3 : 4) * width(); }
  double attending() const { return 4 * width(); }  // while its backward pass runs
  double mlp() const { return double(m.intermediate_size) * (m.activation_dropout > 0 ? 2 : 1); }
  double layer() const { return inputs() + attention() + mlp(); }

  double most(Recompute r) const {
    const bool full = r == Recompute::full;
    const double kept = full ? 2 * width() : r == Recompute::inputs ? inputs() : layer();
    const double again = full ? layer() : r == Recompute::inputs ? std::max(attending(), mlp()) : 0;
    // The projection, the position convolution and their norm: five arrays more.
    const double encoder = frames() * (double(m.num_hidden_layers) * kept + again + 5 * width());
    return std::max({(full ? 0 : extractor()) + encoder, full ? extractor() : 0, second_conv()});
  }
};

}  // namespace

double masked_frames_of_row(const SpanMask& mask, int64_t frames) {
  const double places = std::max(1.0, double(frames - mask.length));
  const double spans = std::max(double(mask.min_spans), mask.probability * double(frames) / double(mask.length));
  return double(frames) * (1 - std::pow(std::max(0.0, 1 - spans / places), double(mask.length)));
}

HubertCost hubert_row_cost(const HubertConfig& c) {
  const HubertModelConfig& m = c.model;
  const auto width = double(m.hidden_size), inner = double(m.intermediate_size), frames = double(c.row_frames());
  HubertCost cost;
  double in = 1;
  for (size_t i = 0; i < m.conv_dim.size(); ++i) {
    const auto out = double(m.conv_dim[i]);
    cost.extractor += 6 * double(m.frames(c.row_samples(), int64_t(i) + 1)) * out * in * double(m.conv_kernel[i]);
    in = out;
  }
  const double positions = width * width / double(m.num_conv_pos_embedding_groups) * double(m.num_conv_pos_embeddings);
  const double layer = 4 * width * width + 2 * width * inner;
  cost.encoder = 6 * frames * (in * width + positions + double(m.num_hidden_layers) * layer);
  cost.attention = 12 * double(m.num_hidden_layers) * frames * frames * width;
  cost.targets = 6 * masked_frames_of_row(c.mask, c.row_frames()) * double(c.targets.final_dim) *
                 (width + double(c.targets.classes));
  return cost;
}

Plan plan_of(const HubertConfig& c) {
  Parameters parameters(c.dtype());
  const HubertForPretraining model(c.model, c.targets, Scope(parameters));
  Plan plan = plan_buffers(parameters);
  const double elements = double(c.train.batch) * RowMemory{c.model, c.row_samples(), c.device}.most(c.train.recompute);
  plan.activation_bytes = int64_t(double(size_of(c.dtype())) * elements);
  return plan;
}

}  // namespace hinoki
