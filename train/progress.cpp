#include "train/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/scratch.h"
#include "core/storage.h"
#include "train/machine.h"

namespace hinoki {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

}  // namespace

Progress::Progress(int64_t steps, int64_t every, Throughput work, double peak_gflops, Device device)
    : steps_(steps),
      every_(every),
      work_(std::move(work)),
      peak_gflops_(peak_gflops),
      device_(device),
      terminal_(isatty(STDERR_FILENO)) {}

void Progress::step(const StepReport& report) {
  constexpr double kMemory = 0.9;  // about the last ten steps
  steps_seen_ = kMemory * steps_seen_ + 1;
  seconds_ = kMemory * seconds_ + report.seconds;
  if (share_of_peak() > 1) raise_peak();
  const bool due = report.step % every_ == 0 || report.step == steps_ || report.step == 1;
  if (due) {
    inform(line(report));
  } else if (terminal_ && steady_seconds() - shown_ > 0.2) {
    show_live(line(report));
    shown_ = steady_seconds();
  }
}

// The peak was measured while other programs ran. What was reached is a lower bound of it, should they still run. A GPU
// is not measured in the midst of training: it has other work, and no memory to spare.
void Progress::raise_peak() {
  if (device_ == Device::cpu && !std::exchange(raised_, true)) peak_gflops_ = raise_fma_peak();
  peak_gflops_ = std::max(peak_gflops_, gflops());
}

double Progress::rate() const { return seconds_ > 0 ? steps_seen_ * work_.step / seconds_ : 0; }

double Progress::gflops() const { return rate() * work_.flops / 1e9; }

double Progress::share_of_peak() const { return peak_gflops_ > 0 ? gflops() / peak_gflops_ : 0; }

std::string Progress::line(const StepReport& r) const {
  std::string text = format("step %*lld/%lld | loss %.4f | lr %.2e | norm %.3f | %s %s",
                            int(std::to_string(steps_).size()), (long long)r.step, (long long)steps_, r.loss,
                            r.learning_rate, r.gradient_norm, grouped(int64_t(rate())).c_str(), work_.unit.c_str());
  if (!r.shown.text.empty()) text += " | " + r.shown.text;
  if (peak_gflops_ > 0) text += format(" | %.0f %% of peak", 100 * share_of_peak());
  text += " | " + mebibytes(double(memory_use(device_).peak + (device_ == Device::cpu ? scratch_total() : 0)));
  if (r.step < steps_ && steps_seen_ > 0)
    text += " | eta " + duration(seconds_ / steps_seen_ * double(steps_ - r.step));
  return text;
}

std::string duration(double seconds) {
  const auto s = int64_t(seconds + 0.5);
  if (s < 60) return format("%llds", (long long)s);
  if (s < 3600) return format("%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
  return format("%lldh%02lldm", (long long)(s / 3600), (long long)(s / 60 % 60));
}

std::string grouped(int64_t n) {
  std::string digits = std::to_string(n);
  for (int64_t i = int64_t(digits.size()) - 3; i > (n < 0 ? 1 : 0); i -= 3) digits.insert(size_t(i), ",");
  return digits;
}

std::string mebibytes(double bytes) { return grouped(int64_t(bytes / (1 << 20) + 0.5)) + " MiB"; }

}  // namespace hinoki
