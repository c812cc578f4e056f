// The steps of a run and what is done between them: records, evaluation, samples, snapshots, stops. Rank 0 tells of it;
// the others do the same steps in silence.
#pragma once
#include <optional>

#include "train/fleet_time.h"
#include "train/metrics.h"
#include "train/product_plans.h"
#include "train/profile.h"
#include "train/run.h"
#include "train/tensorboard.h"

namespace hinoki {

// metrics.jsonl is the truth, TensorBoard's events are made from the same numbers.
class Records {
 public:
  // `metric`: of the throughput.
  Records(const std::string& run, int64_t step, const std::string& metric)
      : run_(run), metrics_(run + "/metrics.jsonl", step), events_(run, step), rate_("speed/" + metric) {}

  void step(const StepReport& report, const Progress& progress, double goodput);
  void slowest(int64_t step, const FleetTime::Slowest& s) {
    write(step, {{"speed/slowest_over_median", s.over_median}});
  }
  int64_t removed_until() const { return metrics_.removed_until(); }
  void validation(int64_t step, const Validation& validation) { write(step, validation.scalars); }
  void save(int64_t step, double blocked) { write(step, {{"speed/save_blocked_seconds", blocked}}); }
  void samples(int64_t step, const std::vector<std::string>& texts);
  void sync() { metrics_.sync(); }
  // The records after the step that the run goes back to are kept in rewound/ and removed here.
  void rewind(const StepReport& report);

 private:
  void write(int64_t step, const std::vector<Scalar>& values);
  std::string run_;
  MetricsFile metrics_;
  EventFile events_;
  std::string rate_;
};

class TrainLoop {
 public:
  // `begin`: when the program began, which goodput counts from.
  TrainLoop(Run& run, Profile& profile, FleetTime::Clock::time_point begin = FleetTime::Clock::now());
  // However a run ends, what the writing thread has begun is finished, and what it uses of this object lives as long.
  ~TrainLoop();

  // Throws Exit::stopped when a signal has stopped it and all is saved.
  void to_the_end();

 private:
  void step();
  void between_steps(int64_t step);
  void tell_slowest(int64_t step);
  void tell_goodput();
  void evaluate(int64_t step);
  void write_samples(int64_t step);
  void tell_warnings();
  void save();
  void show_saved();
  void finish_saving();

  const LogConfig& config_;
  const std::string& folder_;
  const int64_t last_;
  Run& run_;
  Profile& profile_;
  Progress progress_;
  std::optional<Records> records_;  // rank 0's
  FleetTime fleet_;
  ProductPlans plans_;
  int64_t saved_;
};

// Warns of each line of a text, by whom.
void warn_each_line(const std::string& who, const std::string& text);

}  // namespace hinoki
