#include "train/fleet_time.h"

#include <algorithm>
#include <utility>

namespace hinoki {

void FleetTime::step(int64_t step, double seconds, const std::vector<double>& busy) {
  if (step > redone_until_) useful_ += seconds;
  busy_.resize(busy.size());
  for (size_t r = 0; r < busy.size(); ++r) busy_[r] += busy[r];
}

double FleetTime::goodput(Clock::time_point now) const {
  const double all = std::chrono::duration<double>(now - begin_).count();
  return all > 0 ? std::min(1.0, useful_ / all) : 0;
}

std::optional<FleetTime::Slowest> FleetTime::slowest() {
  const std::vector<double> busy = std::exchange(busy_, {});
  if (busy.size() < 2) return std::nullopt;
  std::vector<double> sorted = busy;
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[(sorted.size() - 1) / 2];  // of two ranks: the faster one
  if (median <= 0) return std::nullopt;
  return Slowest{int(std::max_element(busy.begin(), busy.end()) - busy.begin()), sorted.back() / median - 1};
}

}  // namespace hinoki
