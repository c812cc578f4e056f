// Where a fleet's time goes: how much of it is in useful steps, and for which rank the others wait.
#pragma once
#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

namespace hinoki {

class FleetTime {
 public:
  using Clock = std::chrono::steady_clock;
  // `begin`: when the program began. Steps up to `redone_until` were done before, by a run that died after its last
  // snapshot, and are not useful a second time.
  FleetTime(Clock::time_point begin, int64_t redone_until) : begin_(begin), redone_until_(redone_until) {}

  // `busy`: each rank's own work of this step in seconds, without its waiting for others.
  void step(int64_t step, double seconds, const std::vector<double>& busy);

  int64_t redone_until() const { return redone_until_; }
  // The run goes back and does the steps up to `step` once more.
  void redo_until(int64_t step) { redone_until_ = std::max(redone_until_, step); }
  // The share of the time since the program began that went into useful steps.
  double goodput(Clock::time_point now = Clock::now()) const;

  struct Slowest {
    int rank;
    double over_median;  // 0.25: its steps took a quarter longer than the median rank's
  };
  // Of the steps since this was last asked; nothing for a rank alone.
  std::optional<Slowest> slowest();

 private:
  Clock::time_point begin_;
  int64_t redone_until_;
  double useful_ = 0;         // seconds
  std::vector<double> busy_;  // seconds of each rank since slowest() was last asked
};

}  // namespace hinoki
