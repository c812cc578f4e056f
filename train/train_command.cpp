// hinoki train: start a run, or go on with one.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>

#include "core/base/backend.h"
#include "core/base/device.h"
#include "core/base/isa.h"
#include "core/base/log.h"
#include "core/base/parallel.h"
#include "kernels/gemm.h"
#include "train/commands.h"
#include "train/config_file.h"
#include "train/machine.h"
#include "train/metrics.h"
#include "train/plan.h"
#include "train/publication.h"
#include "train/run.h"
#include "train/signals.h"
#include "train/tensorboard.h"

namespace hinoki {
namespace {

struct Options {
  std::string config, resume;
  std::vector<std::string> overrides;
};

// The records of a run: metrics.jsonl is the truth, TensorBoard's events are made from the same numbers.
class Records {
 public:
  Records(const std::string& run, int64_t step) : metrics_(run + "/metrics.jsonl", step), events_(run, step) {}

  void step(const StepReport& r, const Progress& progress) {
    write(r.step, {{"train/loss", r.loss},
                   {"train/learning_rate", r.learning_rate},
                   {"train/gradient_norm", r.gradient_norm},
                   {"speed/seconds", r.seconds},
                   {"speed/tokens_per_second", progress.tokens_per_second()},
                   {"speed/share_of_peak", progress.share_of_peak()}});
  }
  void evaluation(int64_t step, const Evaluation& e) {
    write(step, {{"validation/loss", e.nats_per_token},
                 {"validation/perplexity", e.perplexity},
                 {"validation/bits_per_character", e.bits_per_character}});
  }
  void save(int64_t step, double blocked) { write(step, {{"speed/save_blocked_seconds", blocked}}); }
  void samples(int64_t step, const std::vector<std::string>& texts) {
    for (size_t i = 0; i < texts.size(); ++i) events_.add_text(step, say("sample/", i), texts[i]);
  }
  void sync() { metrics_.sync(); }

 private:
  void write(int64_t step, const std::vector<Scalar>& values) {
    Metrics line;
    for (const Scalar& s : values) line.emplace_back(s.tag, s.value);
    metrics_.append(step, line);
    events_.add_scalars(step, values);
  }
  MetricsFile metrics_;
  EventFile events_;
};

bool due(int64_t step, int64_t every, int64_t last) { return step == last || (every && step % every == 0); }

void show_evaluation(int64_t step, const Evaluation& e) {
  char text[160];
  std::snprintf(text, sizeof text,
                "step %lld | validation %.4f nats/token, perplexity %.1f, %.3f bits/character (%s tokens)",
                (long long)step, e.nats_per_token, e.perplexity, e.bits_per_character, grouped(e.tokens).c_str());
  inform(text);
}

void write_samples(const std::string& run, int64_t step, const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text + "\n\n";
  make_directory(run + "/samples");
  write_file_durably(say(run, "/samples/step-", step, ".txt"), all);
  for (const std::string& text : texts) inform("  | ", text);
}

// Where to go on: the newest snapshot that verifies. A line for each that does not.
std::optional<SnapshotPath> newest(const GptConfig& config) {
  const UsableSnapshot usable = find_usable(config.run + "/snapshots");
  for (const std::string& line : usable.rejected) warn("rejected a snapshot: ", line);
  require<Exit::snapshot>(usable.found || usable.rejected.empty(), config.run,
                          ": no snapshot verifies; move them away to start again from step 0");
  return usable.found;
}

// Steps, and what is done between them.
class Loop {
 public:
  Loop(const GptConfig& config, Run& run)
      : config_(config.log),
        folder_(config.run),
        last_(config.train.steps),
        run_(run),
        progress_(last_, config.log.every, token_cost(config.model, config.data.sequence).total(),
                  machine_figures().fma_gflops),
        records_(config.run, run.steps_done()),
        saved_(run.steps_done()) {}
  // However a run ends, a save that has begun is finished, and what it uses of this object lives as long.
  ~Loop() {
    try {
      finish_saving();
    } catch (const std::exception& e) {
      warn("a snapshot was not saved: ", e.what());
    }
  }

  void to_the_end() {
    try {
      while (run_.steps_done() < last_) step();
      finish_saving();
    } catch (const Error& e) {  // a damaged shard, say: what was learned before is kept
      if (e.code == Exit::data) save(), finish_saving();
      throw;
    }
  }

 private:
  void step() {
    const StepReport report = run_.step();
    const int64_t step = report.step;
    progress_.step(report);
    records_.step(report, progress_);
    show_saved();
    if (due(step, config_.evaluate_every, last_)) {
      progress_.clear();
      const Evaluation e = run_.evaluate();
      show_evaluation(step, e);
      records_.evaluation(step, e);
    }
    if (due(step, config_.sample_every, last_) && config_.sample_tokens > 0) {
      progress_.clear();
      const auto texts = run_.samples();
      write_samples(folder_, step, texts);
      records_.samples(step, texts);
    }
    if (due(step, config_.snapshot_every, last_)) save();
    if (stop_requested() && step < last_) {
      save();
      finish_saving();
      fail<Exit::stopped>("stopped by SIG", stop_signal(), " after step ", step, " and saved; `hinoki train --resume ",
                          folder_, "` goes on");
    }
  }

  void save() {
    if (saved_ == run_.steps_done()) return;
    progress_.clear();
    const auto sync = [this] { records_.sync(); };  // before the snapshot that continues from them is there
    records_.save(run_.steps_done(), run_.start_saving(sync));
    saved_ = run_.steps_done();
  }
  void show_saved() {
    const auto saved = run_.writer().finished();
    if (!saved) return;
    progress_.clear();
    inform("saved ", saved->path, " (blocked ", std::lround(1e3 * saved->blocked), " ms)");
  }
  void finish_saving() {
    run_.writer().wait();
    show_saved();
  }

  const LogConfig& config_;
  const std::string& folder_;
  const int64_t last_;
  Run& run_;
  Progress progress_;
  Records records_;
  int64_t saved_;
};

// What --resume names must be a run folder.
void require_run(const std::string& folder) {
  require<Exit::usage>(is_directory(folder), folder, ": there is no such run folder");
  require<Exit::usage>(!is_file(folder + "/manifest.json"), folder,
                       ": is a snapshot; give its run folder, which goes on from the newest one");
  require<Exit::usage>(
      is_file(folder + "/config.toml"), folder,
      ": is not a run folder, for it has no config.toml; give the folder that `run` names in the config");
}

// Refused here with figures, and not by the kernel in the middle of a step.
void require_memory(const GptConfig& config) {
  const Plan plan = make_plan(config);
  const double has = config.device == Device::cpu ? double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE))
                                                  : double(device_table(config.device).total_memory());
  const auto needs = double(plan.total(config.device));
  require<Exit::usage>(needs <= has, "this run needs about ", mebibytes(needs),
                       " of memory, the ", config.device == Device::cpu ? "machine" : "GPU", " has ", mebibytes(has),
                       "; a smaller model, train.batch or data.sequence, or train.recompute = \"full\" needs less "
                       "(`hinoki plan` tells what takes how much)");
}

void train(const Options& o) {
  require<Exit::usage>(o.config.empty() != o.resume.empty(), "train: give a config file, or --resume RUN");
  GptConfig config;
  if (!o.resume.empty()) require_run(o.resume);
  load_config(o.resume.empty() ? o.config : o.resume + "/config.toml", o.overrides, config);
  if (!o.resume.empty()) config.run = o.resume;
  if (config.device == Device::cuda) require_cuda();
  if (config.precision == Precision::tf32) kernels::matmul_precision = kernels::MatmulPrecision::tf32;
  require_memory(config);
  make_directory(config.run);
  const RunLock lock(config.run);
  remove_leftovers(config.run + "/snapshots", lock);
  for (const char* folder : {"", "/samples"}) remove_temporaries(config.run + folder);
  const auto snapshot = newest(config);
  require<Exit::snapshot>(o.resume.empty() || snapshot, o.resume, ": holds no snapshot to resume from");

  copy_log_to(config.run + "/log.txt");
  listen_for_stop();
  Run run(config);
  if (snapshot) {
    run.resume(snapshot->path);
    inform("resumed from ", snapshot->path);
    if (run.steps_done() >= config.train.steps)
      inform("all ", config.train.steps, " steps are done; a larger train.steps goes on");
  }
  write_file_durably(config.run + "/config.toml", print_config(config));
  inform(print_plan(config, run.training_tokens()));
  if (config.device == Device::cuda) inform(device_table(Device::cuda).name);
  inform(cpu_name(), ", ", pool().threads(), " threads, ", name_of(active_target()), " kernels");
  Loop(config, run).to_the_end();
  copy_log_to("");
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto* command = app.add_subcommand("train", "Train a model; goes on by itself where the run folder holds a snapshot");
  auto o = std::make_shared<Options>();
  command->add_option("config", o->config, "Config file (TOML)");
  command->add_option("overrides", o->overrides, "key.path=value, replaces a value of the config");
  command->add_option("--resume", o->resume, "Run folder to go on with, by its own config.toml");
  command->callback([o] {
    if (!o->resume.empty() && !o->config.empty()) {  // everything that stands there is an override then
      o->overrides.insert(o->overrides.begin(), o->config);
      o->config.clear();
    }
    train(*o);
  });
}

}  // namespace hinoki
