// What people see of a running training: a live line on a terminal, a line per interval elsewhere.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/dtype.h"
#include "train/tensorboard.h"
#include "train/throughput.h"

namespace hinoki {

// What a step has shown beside its loss.
struct Shown {
  std::string text;  // for people: "accuracy 0.91"; empty: nothing
  std::vector<Scalar> scalars;
};

struct StepReport {
  int64_t step = 0;  // finished steps
  double loss = 0;   // per target
  double learning_rate = 0;
  double gradient_norm = 0;
  int64_t targets = 0;            // of this step: what the loss sums over
  double seconds = 0;             // of this step
  int stop = 0;                   // the signal that asked any rank to stop, or 0
  bool warned = false;            // some rank has something to tell
  Shown shown = {};
  std::string skipped = {};       // why the weights were left as they were; empty: they were updated
  // Where the run went back: to the step of a snapshot, and on without so many rows of the data's order.
  struct Rewind {
    int64_t to, first_row, rows;
  };
  std::optional<Rewind> rewind = {};
  std::vector<double> busy = {};  // seconds of each rank's own work
};

class Progress {
 public:
  // `peak_gflops` (0: unknown) gives the share of what `device` reaches at most; memory is that device's, too.
  Progress(int64_t steps, int64_t every, Throughput work, double peak_gflops, Device device = Device::cpu);

  void step(const StepReport& report);

  double rate() const;           // of the work a second, over the last steps
  bool knows_peak() const { return peak_gflops_ > 0; }
  double share_of_peak() const;  // 0 if unknown

 private:
  std::string line(const StepReport& report) const;
  void raise_peak();
  double gflops() const;

  int64_t steps_, every_;
  Throughput work_;
  double peak_gflops_;
  Device device_;
  bool terminal_, raised_ = false;
  double steps_seen_ = 0, seconds_ = 0;  // weighted towards the last steps
  double shown_ = -1;                    // when the live line was last drawn
};

// "3m12s", "2h05m", "12s".
std::string duration(double seconds);
// "1,234,567"
std::string grouped(int64_t n);
// "812 MiB"
std::string mebibytes(double bytes);

}  // namespace hinoki
