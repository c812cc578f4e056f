// hinoki bench: what this machine reaches, what our products reach on it, and whole training steps.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>

#include "core/base/backend.h"
#include "core/base/blas.h"
#include "core/base/device.h"
#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/parallel.h"
#include "train/bench_decode.h"
#include "train/bench_kernels.h"
#include "train/bench_step.h"
#include "train/bench_text.h"
#include "train/commands.h"
#include "train/machine.h"
#include "train/machine_peak.h"

namespace hinoki {
namespace {

void bench_machine() {
  const int threads = pool().threads();
  const MachineFigures m = machine_figures(true);
  std::printf("%s, %s kernels, %d threads\n", cpu_name().c_str(), name_of(active_target()), threads);
  std::printf("multiply-add peak %.0f GFLOP/s, copy %.1f GB/s\n\n", m.fma_gflops, m.copy_gbs);
  std::printf("| product | m x n x k | GFLOP/s | of peak | OpenBLAS |\n|---|---|---|---|---|\n");
  constexpr std::pair<GemmLayout, const char*> kLayouts[] = {{GemmLayout::forward, "Y = X W^T"},
                                                            {GemmLayout::input_gradient, "dX = dY W"},
                                                            {GemmLayout::weight_gradient, "dW = dY^T X"}};
  // Of GPT tiny and small; the last one is a chunk of the head.
  constexpr std::array<int64_t, 3> kProducts[] = {{1024, 768, 256}, {1024, 1024, 256}, {1024, 256, 1024},
                                                  {1024, 2304, 768}, {1024, 768, 768}, {1024, 3072, 768},
                                                  {1024, 768, 3072}, {256, 32000, 768}};
  double best = 0;
  for (const auto& [rows, n, k] : kProducts)
    for (const auto& [layout, name] : kLayouts) {
      GemmMeasurement what{.m = rows, .n = n, .k = k, .layout = layout, .threads = threads};
      const double own = measure_gemm_gflops(what);
      best = std::max(best, own);
      what.library = "openblas";
      std::string other = "-";
      try {
        other = std::to_string(int(measure_gemm_gflops(what)));
      } catch (const Error&) {  // not installed
      }
      std::printf("| %s | %lld x %lld x %lld | %.0f | %.0f %% | %s |\n", name, (long long)rows, (long long)n, (long long)k,
                  own, 100 * own / m.fma_gflops, other.c_str());
    }
  try {
    const std::string core = openblas_core();
    std::printf(
        "\nOpenBLAS multiplied with its kernels for %s%s\n", core.c_str(),
        core == "Prescott" && active_target() != Target::portable
            ? ", which it takes for processors that it does not know: OPENBLAS_CORETYPE=SkylakeX (AVX-512) or Haswell "
              "(AVX2) names better ones"
            : "");
  } catch (const Error&) {  // not installed
  }
  std::printf("\nbest product %.0f GFLOP/s, the best ever seen here %.0f\n", best, remember_product(best));
}

void print_step(const StepBenchmark& what, bool json) {
  require<Exit::usage>(gemm_library() == GemmLibrary::own || what.device == Device::cpu,
                       "--gemm openblas needs --device cpu");
  if (what.device == Device::cuda) require_cuda();
  require<Exit::usage>(what.dtype == DType::f32 || what.device == Device::cuda, "--dtype bf16 needs --device cuda");
  const StepTimes t = bench_step(what);
  const int threads = pool().threads();
  const bool gpu = what.device == Device::cuda;
  if (json) {
    const Json line = {{"program", gemm_library() == GemmLibrary::own ? "hinoki" : "hinoki with OpenBLAS"},
                       {"task", what.task},
                       {"size", what.size},
                       {"threads", threads},
                       {"device", gpu ? device_table(what.device).name : cpu_name()},
                       {"dtype", name_of(what.dtype)},
                       {"kernels", name_of(active_target())},
                       {t.unit + "_per_s", t.units_per_second},
                       {"ms_median", t.median_ms},
                       {"forward_ms", t.forward_ms},
                       {"backward_ms", t.backward_ms},
                       {"update_ms", t.update_ms},
                       {"flops_per_step", t.flops_per_step},
                       {"fma_peak_gflops", t.peak_gflops},
                       {"share_of_peak", t.share_of_peak},
                       {"activation_bytes", t.activation_bytes},
                       {"live_bytes", t.live_bytes},
                       {"peak_bytes", t.peak_bytes},
                       {"params", t.parameters},
                       {"clean", t.clean},
                       {"loss", t.loss}};
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::printf(
        "%s: %.1f ms a step (forward and loss %.1f, backward %.1f, update %.1f), %.0f %s/s, %.0f %% of %.0f "
        "GFLOP/s, activations %.0f MiB, %lld clean steps\n",
        what.size.c_str(), t.median_ms, t.forward_ms, t.backward_ms, t.update_ms, t.units_per_second, t.unit.c_str(),
        100 * t.share_of_peak, t.peak_gflops, double(t.activation_bytes) / (1 << 20), (long long)t.clean);
  }
}

void print_decode(const DecodeBenchmark& what, bool json) {
  const DecodeTimes t = bench_decode(what);
  const double rate = double(what.batch) / t.step_ms * 1e3, read = t.bytes / (t.step_ms * 1e-3) * 1e-9;
  // In the same run: what two cores read depends on the neighbours.
  const double most = measure_read_gbs(pool().threads());
  if (json) {
    const Json line = {{"program", "hinoki"}, {"task", "decode"}, {"size", what.size}, {"batch", what.batch},
                       {"threads", pool().threads()}, {"dtype", name_of(what.weights)}, {"kernels", name_of(active_target())},
                       {"tokens_per_s", rate}, {"step_ms", t.step_ms}, {"prefill_ms", t.prefill_ms}, {"read_gbs", read},
                       {"memory_gbs", most}, {"params", t.parameters}};
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::printf("%s, batch %lld, %s weights: %.2f ms a step, %.1f tokens/s, reads %.1f GB/s of %.1f (%.0f %%), prompts "
                "%.1f ms\n",
                what.size.c_str(), (long long)what.batch, name_of(what.weights), t.step_ms, rate, read, most,
                100 * read / most, t.prefill_ms);
  }
}

void print_text_speed(const std::string& tokenizer, const std::string& input) {
  const int threads = pool().threads();
  const TextSpeed s = bench_text(tokenizer, input, threads);
  const double megabytes = double(s.bytes) / 1e6;
  std::printf("%lld lines, %.1f MB, %d threads\n", (long long)s.lines, megabytes, threads);
  std::printf("bare Encode loop  %7.3f s  %6.1f MB/s  %lld tokens\n", s.bare_seconds, megabytes / s.bare_seconds,
              (long long)s.bare_tokens);
  std::printf("hinoki data text  %7.3f s  %6.1f MB/s  %lld tokens  %.0f %% of the bare loop\n", s.prepare_seconds,
              megabytes / s.prepare_seconds, (long long)s.prepare_tokens, 100 * s.bare_seconds / s.prepare_seconds);
}

struct KernelOptions {
  std::string device = "cpu", only;
  bool tiny = false, json = false;
};

// Each kernel beside the ceiling that binds it.
void print_kernels(const KernelOptions& o) {
  const Device device = o.device == "cuda" ? Device::cuda : Device::cpu;
  if (device == Device::cuda) require_cuda();
  const std::string name = device == Device::cuda ? device_table(device).name : cpu_name();
  const KernelSpeeds speeds = bench_kernels(device, o.tiny, o.only);
  require<Exit::usage>(!speeds.kernels.empty(), "--only ", o.only, ": no kernel has that in its name");
  if (!o.json)
    std::printf("%s: copy %.0f GB/s, product %.1f TFLOP/s\n\n| kernel | dtype | ms | rate | of the ceiling |\n|---|---|---|---|---|\n",
                name.c_str(), speeds.copy_bytes_per_second * 1e-9, speeds.flops_per_second * 1e-12);
  for (const KernelSpeed& k : speeds.kernels) {
    const bool computes = k.flops > 0;
    const double rate = (computes ? k.flops : k.bytes) / k.seconds;
    const double share = rate / (computes ? speeds.flops_per_second : speeds.copy_bytes_per_second);
    if (o.json) {
      const Json line = {{"program", "hinoki"}, {"device", name}, {"kernel", k.name}, {"dtype", name_of(k.dtype)},
                         {"seconds", k.seconds}, {"bytes", k.bytes}, {"flops", k.flops}, {"of_ceiling", share},
                         {"copy_bytes_per_s", speeds.copy_bytes_per_second}, {"product_flops_per_s", speeds.flops_per_second}};
      std::printf("%s\n", line.dump().c_str());
    } else {
      std::printf("| %s | %s | %.3f | %.1f %s | %.0f %% |\n", k.name.c_str(), name_of(k.dtype), k.seconds * 1e3,
                  rate * (computes ? 1e-12 : 1e-9), computes ? "TFLOP/s" : "GB/s", 100 * share);
    }
  }
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "bench", "Measure what this machine reaches and what our matrix products do; or what a subcommand names");
  command->require_subcommand(0, 1);
  auto* step = command->add_subcommand("step", "Whole training steps on random tokens or sound");
  auto what = std::make_shared<StepBenchmark>();
  auto json = std::make_shared<bool>(false);
  step->add_option("--task", what->task, "What learns: gpt (random tokens) or hubert (random sound)")
      ->type_name("NAME")
      ->capture_default_str();
  step->add_option("--size", what->size,
                   "Of the model: nano, tiny, small, neox-small, 1b or 3b; of hubert nano, tiny or base")
      ->type_name("NAME")
      ->capture_default_str();
  step->add_option("--device", what->device, "Where to compute: cpu or cuda (default: cpu)")
      ->type_name("NAME")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Device>{{"cpu", Device::cpu}, {"cuda", Device::cuda}}));
  step->add_option("--dtype", what->dtype, "What layers compute in: f32; on cuda also bf16 (default: f32)")
      ->type_name("NAME")
      ->transform(CLI::CheckedTransformer(std::map<std::string, DType>{{"f32", DType::f32}, {"bf16", DType::bf16}}));
  step->add_option("--batch", what->batch, "Sequences, or rows of sound, of a step (default: that of the size)")
      ->check(CLI::Range(1, 1 << 20));
  step->add_option("--sequence", what->sequence,
                   "Tokens of a sequence, or samples of a row at 16 kHz (default: that of the size)")
      ->check(CLI::Range(1, 1 << 20));
  step->add_option("--steps", what->steps, "Steps to time; their median counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  step->add_option("--warmup", what->warmup, "Steps before those that are timed")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 20));
  step->add_option_function<std::string>("--gemm", set_gemm_library,
                                         "Who multiplies f32 on the CPU: own, or openblas to compare (default: own)")
      ->type_name("NAME");
  step->add_flag("--json", *json, "Print one line of JSON");
  step->callback([what, json] { print_step(*what, *json); });
  auto* decode = command->add_subcommand("decode", "Tokens one after another, with a cache of keys and values");
  auto growth = std::make_shared<DecodeBenchmark>();
  decode->add_option("--size", growth->size, "Of the model: nano, tiny or small")
      ->type_name("NAME")
      ->capture_default_str();
  decode->add_option("--batch", growth->batch, "Sequences that grow together")->capture_default_str();
  decode->add_option("--prompt", growth->prompt, "Tokens of each prompt")->capture_default_str();
  decode->add_option("--tokens", growth->tokens, "New tokens of each")->capture_default_str();
  decode->add_option("--rounds", growth->rounds, "Times all of it is done; the best counts")->capture_default_str();
  decode->add_option("--dtype", growth->weights, "How matrices are stored: f32, bf16 or f16 (default: f32)")
      ->type_name("NAME")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, DType>{{"f32", DType::f32}, {"bf16", DType::bf16}, {"f16", DType::f16}}));
  decode->add_flag("--json", *json, "Print one line of JSON");
  decode->callback([growth, json] { print_decode(*growth, *json); });
  auto* text = command->add_subcommand("text", "`hinoki data text` beside a bare loop over the sentencepiece library");
  auto paths = std::make_shared<std::pair<std::string, std::string>>();
  text->add_option("--tokenizer", paths->first, "spiece.model, or a folder that holds it")
      ->type_name("PATH")
      ->required();
  text->add_option("--input", paths->second, "A file or folder of UTF-8 text to encode")->type_name("PATH")->required();
  text->callback([paths] { print_text_speed(paths->first, paths->second); });
  auto* each = command->add_subcommand("kernels", "Each kernel of a device beside what the device reaches at most");
  auto options = std::make_shared<KernelOptions>();
  each->add_option("--device", options->device, "Whose kernels: cpu or cuda")
      ->type_name("NAME")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "cuda"}));
  each->add_option("--only", options->only, "Only kernels whose name contains this");
  each->add_flag("--tiny", options->tiny, "Sizes for a test: the figures say nothing");
  each->add_flag("--json", options->json, "Print a line of JSON for each");
  each->callback([options] { print_kernels(*options); });
  command->callback([command] {
    if (command->get_subcommands().empty()) bench_machine();
  });
}

}  // namespace hinoki
