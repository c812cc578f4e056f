// hinoki bench: what this machine reaches, what our products reach on it, and whole training steps.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/parallel.h"
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
  for (const auto &[n, k] : {std::pair{768, 256}, {1024, 256}, {256, 1024}, {2304, 768}, {768, 768}, {3072, 768}, {768, 3072}})
    for (const auto& [layout, name] : kLayouts) {
      GemmMeasurement what{.m = 1024, .n = n, .k = k, .layout = layout, .threads = threads};
      const double own = measure_gemm_gflops(what);
      what.library = "openblas";
      std::string other = "-";
      try {
        other = std::to_string(int(measure_gemm_gflops(what)));
      } catch (const Error&) {  // not installed
      }
      std::printf("| %s | %d x %d x %d | %.0f | %.0f %% | %s |\n", name, 1024, n, k, own, 100 * own / m.fma_gflops,
                  other.c_str());
    }
}

void print_step(const StepBenchmark& what, bool json) {
  const StepTimes t = bench_step(what);
  const int threads = pool().threads();
  const double peak = measure_fma_peak_gflops(threads);  // in the same run: clocks change with the load
  const double share = t.flops_per_step / (t.median_ms * 1e-3) / (peak * 1e9);
  if (json) {
    const Json line = {{"program", "hinoki"}, {"size", what.size}, {"threads", threads},
                       {"kernels", name_of(active_target())}, {"tokens_per_s", t.tokens_per_second},
                       {"ms_median", t.median_ms}, {"forward_ms", t.forward_ms}, {"backward_ms", t.backward_ms},
                       {"update_ms", t.update_ms}, {"flops_per_step", t.flops_per_step}, {"fma_peak_gflops", peak},
                       {"share_of_peak", share}, {"activation_bytes", t.activation_bytes}, {"params", t.parameters},
                       {"clean", t.clean}, {"loss", t.loss}};
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::printf("%s: %.1f ms a step (forward and loss %.1f, backward %.1f, update %.1f), %.0f tokens/s, %.0f %% of %.0f "
                "GFLOP/s, activations %.0f MiB, %lld clean steps\n",
                what.size.c_str(), t.median_ms, t.forward_ms, t.backward_ms, t.update_ms, t.tokens_per_second, 100 * share,
                peak, double(t.activation_bytes) / (1 << 20), (long long)t.clean);
  }
}

void print_text(const std::string& tokenizer, const std::string& input) {
  const int threads = pool().threads();
  const TextSpeed s = bench_text(tokenizer, input, threads);
  const double megabytes = double(s.bytes) / 1e6;
  std::printf("%lld lines, %.1f MB, %d threads\n", (long long)s.lines, megabytes, threads);
  std::printf("bare Encode loop  %7.3f s  %6.1f MB/s  %lld tokens\n", s.bare_seconds, megabytes / s.bare_seconds,
              (long long)s.bare_tokens);
  std::printf("hinoki data text  %7.3f s  %6.1f MB/s  %lld tokens  %.0f %% of the bare loop\n", s.prepare_seconds,
              megabytes / s.prepare_seconds, (long long)s.prepare_tokens, 100 * s.bare_seconds / s.prepare_seconds);
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto* command = app.add_subcommand("bench", "Measure this machine, and training steps on it");
  command->require_subcommand(0, 1);
  auto* step = command->add_subcommand("step", "Whole training steps on random tokens");
  auto what = std::make_shared<StepBenchmark>();
  auto json = std::make_shared<bool>(false);
  step->add_option("--size", what->size, "nano, tiny or small")->capture_default_str();
  step->add_option("--batch", what->batch, "Sequences (default: of the size)")->check(CLI::Range(1, 1 << 20));
  step->add_option("--sequence", what->sequence, "Tokens a sequence (default: of the size)")
      ->check(CLI::Range(1, 1 << 20));
  step->add_option("--steps", what->steps, "Steps to time")->capture_default_str()->check(CLI::Range(1, 1 << 20));
  step->add_option("--warmup", what->warmup, "Steps before that")->capture_default_str()->check(CLI::Range(0, 1 << 20));
  step->add_flag("--json", *json, "Print one JSON line");
  step->callback([what, json] { print_step(*what, *json); });
  auto* text = command->add_subcommand("text", "`hinoki data text` beside a bare loop over the sentencepiece library");
  auto paths = std::make_shared<std::pair<std::string, std::string>>();
  text->add_option("--tokenizer", paths->first, "spiece.model, or a folder that holds it")->required();
  text->add_option("--input", paths->second, "Text to encode")->required();
  text->callback([paths] { print_text(paths->first, paths->second); });
  command->callback([command] {
    if (command->get_subcommands().empty()) bench_machine();
  });
}

}  // namespace hinoki
