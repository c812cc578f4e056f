#include "train/bench_step.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "core/base/device.h"
#include "core/base/scratch.h"
#include "train/optimizer.h"

namespace hinoki {
namespace {

using Clock = std::chrono::steady_clock;
double milliseconds(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double, std::milli>(b - a).count();
}

// How long the threads of this process have waited for a core, in milliseconds (0 where the kernel does not say).
double waited_ms() {
  double total = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream stat(task.path() / "schedstat");
    double ran = 0, waited = 0;
    if (stat >> ran >> waited) total += waited;
  }
  return total / 1e6;
}

struct Size {
  const char* name;
  int64_t layers, width, heads, sequence, vocab, batch;
};
constexpr Size kSizes[] = {{"nano", 2, 64, 2, 64, 512, 2}, {"tiny", 4, 256, 4, 256, 8000, 8},
                           {"small", 12, 768, 12, 512, 32000, 2}, {"1b", 24, 2048, 16, 2048, 32000, 8},
                           {"3b", 36, 2816, 22, 2048, 32000, 8}};

const Size& find_size(const std::string& name) {
  for (const Size& s : kSizes)
    if (name == s.name) return s;
  fail<Exit::usage>("bench: size \"", name, "\" is not one of nano, tiny, small, 1b, 3b");
}

Tensor random_ids(int64_t rows, int64_t columns, int64_t vocab, uint64_t step, Device device) {
  Tensor ids = empty({rows, columns}, DType::i32);
  for (int64_t i = 0; i < ids.numel(); ++i)
    ids.as<int32_t>()[i] = int32_t(philox({.seed = 7, .step = step}, uint64_t(i))[0] % uint64_t(vocab));
  return to_device(ids, device);
}

// Now, when all work asked for is done.
Clock::time_point now(Device device) {
  if (device != Device::cpu) device_table(device).synchronize({});
  return Clock::now();
}

}  // namespace

StepTimes bench_step(const StepBenchmark& what) {
  const Size& size = find_size(what.size);
  const int64_t batch = what.batch ? what.batch : size.batch, time = what.sequence ? what.sequence : size.sequence;
  ModelConfig config;
  config.gpt_neox = {.vocab_size = size.vocab, .hidden_size = size.width, .num_hidden_layers = size.layers,
                     .num_attention_heads = size.heads, .intermediate_size = 4 * size.width,
                     .max_position_embeddings = time, .rotary_pct = 0.25, .use_parallel_residual = true};
  Parameters parameters(what.dtype, what.device);
  const auto model = make_model(config, parameters);
  model->recompute = what.recompute;
  parameters.allocate();
  parameters.initialize(1);
  Optimizer optimizer(parameters, {.clip = 0});
  const int64_t resident = int64_t(memory_use(what.device).live);

  struct Sample {
    double total, forward, backward, update;
    bool clean;
  };
  std::vector<Sample> samples;
  StepTimes times;
  reset_peak_memory(what.device);
  const int64_t tries = what.warmup + 4 * what.steps;
  for (int64_t i = 0, clean = 0; i < tries && (i < what.warmup + what.steps || clean < what.steps); ++i) {
    const Tensor ids = random_ids(batch, time, size.vocab, uint64_t(2 * i), what.device);
    const Tensor labels = random_ids(batch, time, size.vocab, uint64_t(2 * i + 1), what.device);
    const double waited = waited_ms();
    const auto t0 = now(what.device);
    parameters.clear_gradients();
    Tensor loss = model->loss(ids, labels, {}, {.training = true});
    const auto t1 = now(what.device);
    backward(loss);
    const auto t2 = now(what.device);
    optimizer.update(1e-4, 1.0 / double(batch * time), i);
    const auto t3 = now(what.device);
    times.loss = loss.item() / double(batch * time);
    const double total = milliseconds(t0, t3);
    const bool quiet = waited_ms() - waited < 0.05 * total;
    if (i < what.warmup) continue;
    clean += quiet;
    samples.push_back({total, milliseconds(t0, t1), milliseconds(t1, t2), milliseconds(t2, t3), quiet});
  }
  times.clean = std::count_if(samples.begin(), samples.end(), [](const Sample& s) { return s.clean; });
  if (times.clean >= (what.steps + 1) / 2) std::erase_if(samples, [](const Sample& s) { return !s.clean; });
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.total < b.total; });
  const Sample& median = samples[samples.size() / 2];
  times.median_ms = median.total;
  times.forward_ms = median.forward;
  times.backward_ms = median.backward;
  times.update_ms = median.update;
  times.tokens_per_second = double(batch * time) / median.total * 1e3;
  times.flops_per_step = token_cost(config, time).total() * double(batch * time);
  times.parameters = parameters.count();
  times.activation_bytes = int64_t(memory_use(what.device).peak) - resident +
                           (what.device == Device::cpu ? int64_t(scratch_total()) : 0);
  times.peak_bytes = int64_t(memory_use(what.device).peak);
  return times;
}

}  // namespace hinoki
