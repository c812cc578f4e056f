#include "train/clock_offset.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>

#include "core/base/trace.h"

namespace hinoki {

ClockOffset clock_offset(std::span<const BarrierVisit> mine, std::span<const BarrierVisit> of_first) {
  int64_t low = std::numeric_limits<int64_t>::min(), high = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < mine.size(); ++i) {
    low = std::max(low, mine[i].entered - of_first[i].left);
    high = std::min(high, mine[i].left - of_first[i].entered);
  }
  const int64_t width = high - low;  // negative only if the clocks have run apart meanwhile
  return {.ahead = low + width / 2, .error = (std::abs(width) + 1) / 2};
}

ClockOffset clock_offset(Communicator& ranks) {
  if (ranks.alone()) return {};
  std::array<BarrierVisit, 16> visits;
  for (BarrierVisit& visit : visits) {
    visit.entered = Timeline::now();
    barrier(ranks, "barrier for the clocks");
    visit.left = Timeline::now();
  }
  return clock_offset(visits, gather_values(ranks, "clocks", visits)[0]);
}

}  // namespace hinoki
