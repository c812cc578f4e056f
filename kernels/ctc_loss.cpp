// CPU kernel of CTC: softmaxes over all frames, then a thread for each row. What a frame of a row costs is an
// exponential a class, and three exponentials and a logarithm a state in either direction, in plain loops that become
// vector code.
#include "kernels/ctc_loss.h"

#include <cstring>

#include "core/base/parallel.h"
#include "core/base/scratch.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/math.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr double kNever = -__builtin_inf();
constexpr double kLowest = -1e300;  // a maximum to subtract where all are -infinity

template <class T>
[[gnu::flatten]] void softmax(const T* x, T* y, double& log_sum, int64_t n) {
  const T max = max_of<T>(n, [=](int64_t i) { return x[i]; });
  const T sum = y ? sum_of<T>(n, [=](int64_t i) { return y[i] = exp(x[i] - max); })
                  : sum_of<T>(n, [=](int64_t i) { return exp(x[i] - max); });
  log_sum = double(max) + __builtin_log(double(sum));
  if (y == nullptr) return;
  const T factor = 1 / sum;
  for (int64_t i = 0; i < n; ++i) y[i] *= factor;
}

// log(e^a + e^b + e^c)
template <class T>
inline double log_sum(double a, double b, double c) {
  double m = a > b ? a : b;
  m = m > c ? m : c;
  m = m > kLowest ? m : kLowest;
  return m + double(log(exp(T(a - m)) + exp(T(b - m)) + exp(T(c - m))));
}

// The states of a row. Arrays over them are padded by two that are never reached, before and after.
template <class T>
struct Row {
  const T* logits;
  const double* log_sums;  // [frames]
  const int32_t* labels;
  int64_t frames, count, classes, blank;
  double* memory;

  int64_t states() const { return 2 * count + 1; }
  int64_t padded() const { return states() + 4; }
  int64_t doubles() const { return (frames + 4) * padded(); }
  double* alpha(int64_t t) const { return memory + t * padded() + 2; }
  double* beta(int64_t t) const { return memory + (frames + t % 2) * padded() + 2; }
  double* emissions() const { return memory + (frames + 2) * padded() + 2; }  // log y of each state's class
  double* skips() const { return memory + (frames + 3) * padded() + 2; }      // 0 where s - 2 leads to s, else -inf

  void clear(double* row) const {
    for (int64_t s = -2; s < states() + 2; ++s) row[s] = kNever;
  }
  void emit(int64_t t) const {
    const T* const x = logits + t * classes;
    double* const e = emissions();
    const double blank_log = double(x[blank]) - log_sums[t];
    for (int64_t i = 0; i < count; ++i) {
      e[2 * i] = blank_log;
      e[2 * i + 1] = double(x[labels[i]]) - log_sums[t];
    }
    e[2 * count] = blank_log;
  }
  void find_skips() const {
    clear(skips());
    for (int64_t i = 1; i < count; ++i)
      if (labels[i] != labels[i - 1]) skips()[2 * i + 1] = 0;
  }
  void first_alpha() const {
    clear(alpha(0));
    emit(0);
    alpha(0)[0] = emissions()[0];
    if (count > 0) alpha(0)[1] = emissions()[1];
  }
  void next_alpha(int64_t t) const {
    const double *const before = alpha(t - 1), *const skip = skips(), *const e = emissions();
    double* const now = alpha(t);
    now[-2] = now[-1] = now[states()] = now[states() + 1] = kNever;
    emit(t);
    for (int64_t s = 0, n = states(); s < n; ++s)
      now[s] = log_sum<T>(before[s], before[s - 1], before[s - 2] + skip[s]) + e[s];
  }
  // beta without the emission of its own frame; emissions() are those of frame t + 1.
  void next_beta(int64_t t) const {
    const double *const skip = skips(), *const e = emissions();
    double *const after = beta(t + 1), *const now = beta(t);
    for (int64_t s = 0, n = states(); s < n; ++s) after[s] += e[s];
    for (int64_t s = 0, n = states(); s < n; ++s)
      now[s] = log_sum<T>(after[s], after[s + 1], after[s + 2] + skip[s + 2]);
  }
  // Takes what the states of frame t hold off the softmax that stands in `gradient`.
  void subtract(int64_t t, double log_p, T* gradient) const {
    const double *const a = alpha(t), *const b = beta(t);
    double of_blank = 0;
    for (int64_t i = 0; i < count; ++i) {
      of_blank += double(exp(T(a[2 * i] + b[2 * i] - log_p)));
      gradient[labels[i]] -= exp(T(a[2 * i + 1] + b[2 * i + 1] - log_p));
    }
    of_blank += double(exp(T(a[2 * count] + b[2 * count] - log_p)));
    gradient[blank] -= T(of_blank);
  }
};

// Returns log p.
template <class T>
double forward(const Row<T>& row) {
  if (row.frames == 0) return 0;  // of no labels
  row.find_skips();
  row.first_alpha();
  for (int64_t t = 1; t < row.frames; ++t) row.next_alpha(t);
  const double* const last = row.alpha(row.frames - 1) + row.states() - 1;
  return log_sum<T>(last[0], last[-1], kNever);
}

template <class T>
void backward(const Row<T>& row, double log_p, T* gradient) {
  for (int64_t t = row.frames - 1; t >= 0; --t) {
    if (t == row.frames - 1) {
      row.clear(row.beta(t)), row.clear(row.beta(t + 1));
      row.beta(t)[row.states() - 1] = 0;
      if (row.count > 0) row.beta(t)[row.states() - 2] = 0;
    } else {
      row.emit(t + 1);
      row.next_beta(t);
    }
    row.subtract(t, log_p, gradient + t * row.classes);
  }
}

template <class T>
void run(const CtcLoss& k) {
  double* const log_sums = scratch<double>(0, size_t(k.rows * k.time));
  parallel(k.rows * k.time, [&](int64_t i) {
    T* const gradient = k.gradient ? static_cast<T*>(k.gradient) + i * k.classes : nullptr;
    if (i % k.time < k.frames[i / k.time])
      softmax(static_cast<const T*>(k.logits) + i * k.classes, gradient, log_sums[i], k.classes);
    else if (gradient)
      std::memset(gradient, 0, size_t(k.classes) * sizeof(T));
  });
  parallel(k.rows, [&](int64_t r) {
    int64_t first = 0;
    for (int64_t i = 0; i < r; ++i) first += k.label_lengths[i];
    Row<T> row{.logits = static_cast<const T*>(k.logits) + r * k.time * k.classes,
               .log_sums = log_sums + r * k.time,
               .labels = k.labels + first,
               .frames = k.frames[r],
               .count = k.label_lengths[r],
               .classes = k.classes,
               .blank = k.blank,
               .memory = nullptr};
    row.memory = scratch<double>(1, size_t(row.doubles()));
    const double log_p = forward(row);
    k.loss[r] = -log_p;
    if (k.gradient) backward(row, log_p, static_cast<T*>(k.gradient) + r * k.time * k.classes);
  });
}

const bool ready =
    ctc_loss.provide(kTarget, [](const CtcLoss& k, Stream) { visit_float(k.dtype, [&]<class T>() { run<T>(k); }); });

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
