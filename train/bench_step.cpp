#include "train/bench_step.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "core/base/clock.h"
#include "core/base/device.h"
#include "core/base/scratch.h"
#include "models/model.h"
#include "train/bench_kernels.h"
#include "train/hubert_plan.h"
#include "train/machine_peak.h"
#include "train/optimizer.h"

namespace hinoki {
namespace {

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

int64_t resident_bytes() {
  int64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t most_resident_bytes() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return int64_t(used.ru_maxrss) * 1024;
}

// What is trained: a model whose parameters are added but not yet there, and its loss on the one batch of all steps.
struct Problem {
  std::function<Tensor()> loss;
  double targets = 0;  // that the loss sums over
  double units = 0;    // of data in a step
  std::string unit;
  double flops = 0;  // of a step
};

template <class Size, size_t n>
const Size& find_size(const Size (&sizes)[n], const StepBenchmark& what) {
  std::string known;
  for (const Size& s : sizes) {
    if (what.size == s.name) return s;
    known += say(known.empty() ? "" : ", ", s.name);
  }
  fail<Exit::usage>("bench: size \"", what.size, "\" is not one of ", known);
}

uint32_t random_bits(uint64_t step, int64_t i) { return philox({.seed = 7, .step = step}, uint64_t(i))[0]; }

Tensor random_ids(int64_t rows, int64_t columns, int64_t vocab, uint64_t step) {
  Tensor ids = empty({rows, columns}, DType::i32);
  for (int64_t i = 0; i < ids.numel(); ++i)
    ids.as<int32_t>()[i] = int32_t(random_bits(step, i) % uint64_t(vocab));
  return ids;
}

Problem gpt_problem(const StepBenchmark& what, Parameters& parameters) {
  struct Size {
    const char* name;
    int64_t layers, width, heads, sequence, vocab, batch;
    bool as_rinna = false;  // whole heads rotated, and attention before the MLP, as in configs/gpt_neox_*.toml
  };
  constexpr Size kSizes[] = {{"nano", 2, 64, 2, 64, 512, 2},
                             {"tiny", 4, 256, 4, 256, 8000, 8},
                             {"small", 12, 768, 12, 512, 32000, 2},
                             {"neox-small", 12, 768, 12, 2048, 44416, 32, true},
                             {"1b", 24, 2048, 16, 2048, 32000, 8},
                             {"3b", 36, 2816, 22, 2048, 32000, 8, true}};
  const Size& size = find_size(kSizes, what);
  const int64_t batch = what.batch ? what.batch : size.batch, time = what.sequence ? what.sequence : size.sequence;
  ModelConfig config;
  config.gpt_neox = {.vocab_size = size.vocab,
                     .hidden_size = size.width,
                     .num_hidden_layers = size.layers,
                     .num_attention_heads = size.heads,
                     .intermediate_size = 4 * size.width,
                     .max_position_embeddings = time,
                     .rotary_pct = size.as_rinna ? 1.0 : 0.25,
                     .use_parallel_residual = !size.as_rinna};
  const std::shared_ptr<CausalLm> model = make_model(config, parameters);
  model->recompute = what.recompute;
  // Made before any step is timed, and the same in all of them, as the peer's.
  const Tensor ids = to_device(random_ids(batch, time, size.vocab, 0), what.device),
               labels = to_device(random_ids(batch, time, size.vocab, 1), what.device);
  const auto loss = [=] { return model->loss(ids, labels, {}, {.training = true}); };
  const auto tokens = double(batch * time);
  return {loss, tokens, tokens, "tokens", token_cost(config, time).total() * tokens};
}

// As the peer: no dropout, half of the frames masked.
Problem hubert_problem(const StepBenchmark& what, Parameters& parameters) {
  struct Size {
    const char* name;
    int64_t layers, width, heads, channels, seconds, batch;
  };
  constexpr Size kSizes[] = {
      {"nano", 2, 64, 2, 64, 1, 2}, {"tiny", 4, 256, 4, 512, 4, 4}, {"base", 12, 768, 12, 512, 10, 4}};
  const Size& size = find_size(kSizes, what);
  HubertConfig c;
  c.train.batch = what.batch ? what.batch : size.batch;
  const int64_t samples = what.sequence ? what.sequence : size.seconds * kSampleRate;
  c.data.crop_seconds = seconds_of(samples);
  c.targets.classes = 500;
  c.model.hidden_size = size.width, c.model.intermediate_size = 4 * size.width;
  c.model.num_hidden_layers = size.layers, c.model.num_attention_heads = size.heads;
  c.model.conv_dim.assign(7, size.channels);
  c.model.feat_proj_dropout = c.model.hidden_dropout = c.model.attention_dropout = c.model.activation_dropout = 0;
  c.model.layerdrop = 0;
  const auto model = std::make_shared<HubertForPretraining>(c.model, c.targets, Scope(parameters));
  model->hubert.recompute = what.recompute;
  const int64_t rows = c.train.batch, frames = c.row_frames();
  HubertInput input{.samples = empty({rows, samples}, DType::f32),
                    .masked_frames = random_ids(rows, frames, 2, uint64_t(1) << 40)};
  for (int64_t i = 0; i < rows * samples; i += 2) {
    const auto pair = normal_pair(random_bits(uint64_t(1) << 41, i), random_bits(uint64_t(1) << 41, i + 1));
    for (int64_t k = 0; k < std::min<int64_t>(2, rows * samples - i); ++k)
      input.samples.as<float>()[i + k] = float(pair[size_t(k)]);
  }
  const Tensor labels = random_ids(rows, frames, 500, uint64_t(1) << 42);
  const auto targets = double(HubertForPretraining::count_targets(input.masked_frames, labels));
  const auto loss = [=] { return model->loss(input, labels, {.training = true}).total; };
  const HubertCost cost = hubert_row_cost(c);
  const double flops = double(rows) * (cost.total() - cost.targets) +
                       6 * targets * double(c.targets.final_dim) * double(size.width + c.targets.classes);
  return {loss, targets, seconds_of(rows * samples), "seconds", flops};
}

// By the clock, when all work asked for is done.
double milliseconds_at_end(Device device) {
  if (device != Device::cpu) device_table(device).synchronize({});
  return 1e3 * steady_seconds();
}

struct Sample {
  double total = 0;  // milliseconds
  std::array<double, 3> phases{};
  double possible = 0;  // operations that the device could have done in that time
  bool clean = false;
};

// Times the phases of a step, and between them what the device's arithmetic units give: cores that are shared with
// other machines do not give the same all the time.
class Stopwatch {
 public:
  explicit Stopwatch(const StepBenchmark& what)
      : device_(what.device),
        product_peak_(device_ == Device::cpu ? 0 : measure_product_peak(what.device, what.dtype) * 1e-9) {}

  Sample time(const std::array<std::function<void()>, 3>& phases) const {
    Sample s;
    double before = gflops();
    for (size_t i = 0; i < phases.size(); ++i) {
      const double began = milliseconds_at_end(device_);
      phases[i]();
      s.phases[i] = milliseconds_at_end(device_) - began;
      const double after = gflops();
      s.total += s.phases[i];
      s.possible += s.phases[i] * (before + after) / 2 * 1e6;
      before = after;
    }
    return s;
  }

 private:
  double gflops() const { return device_ == Device::cpu ? fma_gflops_now() : product_peak_; }

  Device device_;
  double product_peak_;
};

}  // namespace

StepTimes bench_step(const StepBenchmark& what) {
  require<Exit::usage>(what.task == "gpt" || what.task == "hubert", "bench: task \"", what.task,
                       "\" is not one of gpt, hubert");
  const int64_t program = resident_bytes();
  Parameters parameters(what.dtype, what.device);
  const Problem problem = what.task == "gpt" ? gpt_problem(what, parameters) : hubert_problem(what, parameters);
  parameters.allocate();
  parameters.initialize(1);
  Optimizer optimizer(parameters, {.clip = 0});
  const int64_t model = int64_t(memory_use(what.device).live);

  const Stopwatch watch(what);
  std::vector<Sample> samples;
  StepTimes times;
  reset_peak_memory(what.device);
  const int64_t tries = what.warmup + 4 * what.steps;
  for (int64_t i = 0, clean = 0; i < tries && (i < what.warmup + what.steps || clean < what.steps); ++i) {
    const double waited = waited_ms(), began = milliseconds_at_end(what.device);
    Tensor loss;
    Sample s = watch.time({[&] {
                             parameters.clear_gradients();
                             loss = problem.loss();
                           },
                           [&] { backward(loss); }, [&] { optimizer.update(1e-4, 1.0 / problem.targets, i); }});
    // Steps beyond those asked for are for the clock alone.
    if (i < what.warmup + what.steps) times.loss = loss.item() / problem.targets;
    s.clean = waited_ms() - waited < 0.05 * (milliseconds_at_end(what.device) - began);
    if (i < what.warmup) continue;
    clean += s.clean;
    samples.push_back(s);
  }
  times.clean = std::count_if(samples.begin(), samples.end(), [](const Sample& s) { return s.clean; });
  if (times.clean >= (what.steps + 1) / 2) std::erase_if(samples, [](const Sample& s) { return !s.clean; });
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.total < b.total; });
  const Sample& median = samples[samples.size() / 2];
  double time = 0, possible = 0;
  for (const Sample& s : samples) time += s.total, possible += s.possible;
  times.peak_gflops = possible / time * 1e-6;
  times.share_of_peak = problem.flops * double(samples.size()) / possible;
  times.median_ms = median.total;
  times.forward_ms = median.phases[0];
  times.backward_ms = median.phases[1];
  times.update_ms = median.phases[2];
  times.unit = problem.unit;
  times.units_per_second = problem.units / median.total * 1e3;
  times.flops_per_step = problem.flops;
  times.parameters = parameters.count();
  times.live_bytes = int64_t(memory_use(what.device).peak) - model;
  if (what.device == Device::cpu) times.live_bytes += int64_t(scratch_total());
  times.activation_bytes =
      what.device == Device::cpu ? most_resident_bytes() - program - model : times.live_bytes;
  times.peak_bytes = int64_t(memory_use(what.device).peak);
  return times;
}

}  // namespace hinoki
