#include "train/frame_sample.h"

#include <algorithm>
#include <cmath>

#include "core/base/philox.h"
#include "data/order.h"

namespace hinoki {
namespace {

constexpr uint64_t kSlotSite = hash_name("frame_sample/slot"), kFrameSite = hash_name("frame_sample/frame"),
                   kOrderSite = hash_name("frame_sample/order");

// Rows in another order: a batch of neighbours would hold a single speaker.
std::vector<float> shuffled(const std::vector<float>& rows, int64_t dim, const Shuffle& order) {
  std::vector<float> out(rows.size());
  for (int64_t i = 0; i < order.count; ++i) std::copy_n(rows.data() + order(i) * dim, dim, out.data() + i * dim);
  return out;
}

}  // namespace

std::vector<std::vector<float>> draw_frames(const Communicator& ranks, const FrameFeatures& features,
                                            const FrameSampling& s) {
  require(s.slots >= ranks.size() && s.slots % ranks.size() == 0, s.slots, " slots do not divide among ", ranks.size(),
          " ranks");
  const int64_t utterances = features.corpus().utterances(), dim = features.dim(), each = s.slots / ranks.size();
  int64_t total = 0;
  for (int64_t u = 0; u < utterances; ++u) total += features.frames(u);
  const double share = total == 0 ? 0 : std::min(1.0, double(s.frames) / double(total));
  const auto limit = uint64_t(std::ceil(share * 0x1p32));  // of 32 random bits

  std::vector<std::vector<float>> slots(static_cast<size_t>(each));
  std::vector<float> frames;
  std::vector<int64_t> drawn;
  for (int64_t u = 0; u < utterances; ++u) {
    const int64_t slot = int64_t(philox({.seed = s.seed, .site = kSlotSite}, uint64_t(u))[0]) % s.slots;
    if (slot / each != ranks.rank()) continue;
    drawn.clear();
    for (int64_t t = 0; t < features.frames(u); ++t)
      if (philox({.seed = s.seed, .site = kFrameSite, .step = uint64_t(t)}, uint64_t(u))[0] < limit) drawn.push_back(t);
    if (drawn.empty()) continue;  // and is not read
    if (s.check_stop) s.check_stop();
    frames.resize(size_t(features.frames(u) * dim));
    features.features(u, frames);
    std::vector<float>& rows = slots[size_t(slot % each)];
    for (const int64_t t : drawn) rows.insert(rows.end(), frames.begin() + t * dim, frames.begin() + (t + 1) * dim);
  }
  for (int64_t i = 0; i < each; ++i) {
    std::vector<float>& rows = slots[size_t(i)];
    const auto number = uint64_t(ranks.rank() * each + i);
    rows =
        shuffled(rows, dim, {.seed = s.seed, .site = kOrderSite, .epoch = number, .count = int64_t(rows.size()) / dim});
  }
  return slots;
}

}  // namespace hinoki
