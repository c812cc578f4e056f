// What people see of a running training: a live line on a terminal, a line per interval elsewhere.
#pragma once
#include <cstdint>
#include <string>

namespace hinoki {

struct StepReport {
  int64_t step = 0;         // finished steps
  double loss = 0;          // nats per token
  double learning_rate = 0;
  double gradient_norm = 0;
  int64_t tokens = 0;       // of this step
  double seconds = 0;       // of this step
  int stop = 0;             // the signal that asked any rank to stop, or 0
  bool warned = false;      // some rank has something to tell
};

class Progress {
 public:
  // `flops_per_token` and `peak_gflops` (0: unknown) give the share of the machine's peak.
  Progress(int64_t steps, int64_t every, double flops_per_token, double peak_gflops);

  void step(const StepReport& report);
  // Ends the live line, so that other text can be printed.
  void clear();

  double tokens_per_second() const;   // over the last steps
  double share_of_peak() const;       // 0 if unknown

 private:
  std::string line(const StepReport& report) const;
  void raise_peak();
  double gflops() const;

  int64_t steps_, every_;
  double flops_per_token_, peak_gflops_;
  bool terminal_, live_ = false, raised_ = false;
  double tokens_ = 0, seconds_ = 0;   // weighted towards the last steps
  double shown_ = -1;                 // when the live line was last drawn
};

// "3m12s", "2h05m", "12s".
std::string duration(double seconds);
// "1,234,567"
std::string grouped(int64_t n);
// "812 MiB"
std::string mebibytes(double bytes);

}  // namespace hinoki
