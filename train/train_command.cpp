// hinoki train: start a run, or go on with one.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>

#include "core/base/backend.h"
#include "core/base/device.h"
#include "core/base/isa.h"
#include "core/base/log.h"
#include "core/base/parallel.h"
#include "kernels/gemm.h"
#include "train/commands.h"
#include "train/config_file.h"
#include "train/device_peak.h"
#include "train/hubert_chain.h"
#include "train/plan.h"
#include "train/publication.h"
#include "train/rank_status.h"
#include "train/signals.h"
#include "train/train_loop.h"

namespace hinoki {
namespace {

struct TrainOptions {
  std::string config, resume, profile;
  std::vector<std::string> overrides;
};

// Where to go on: the newest snapshot that verifies. A line for each that does not.
std::optional<SnapshotPath> newest_usable(const RunConfig& config) {
  const UsableSnapshot usable = find_usable(config.run + "/snapshots");
  for (const std::string& line : usable.rejected) warn("rejected a snapshot: ", line);
  require<Exit::snapshot>(usable.found || usable.rejected.empty(), config.run,
                          ": no snapshot verifies; move them away to start again from step 0");
  return usable.found;
}

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
void require_memory(const Recipe& recipe, int ranks) {
  const Device device = recipe.config().device;
  const Plan plan = make_plan(recipe, ranks);
  const int sharing = device == Device::cpu ? local_ranks() : 1;
  const double has = device == Device::cpu ? double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE))
                                           : double(device_table(device).total_memory());
  const auto needs = double(plan.total(device)) * sharing;
  if (needs > has)
    fail<Exit::usage>("this run needs about ", mebibytes(needs), " of memory",
                      sharing > 1 ? say(" for ", sharing, " ranks on a machine") : "", ", the ",
                      device == Device::cpu ? "machine" : "GPU", " has ", mebibytes(has), "\n", print_shortage(recipe));
}

// Where memory is too short for f() all the same.
template <class F>
void telling_the_plan(const Recipe& recipe, F&& f) {
  try {
    f();
  } catch (const OutOfMemory& e) {
    fail(e.what(), "\n", print_shortage(recipe));
  }
}

// What rank 0 does before anybody trains: the folder, its lock, and what a dead run has left in it.
std::unique_ptr<RunLock> prepare_folder(const RunConfig& config) {
  make_directory_durably(config.run);
  auto lock = std::make_unique<RunLock>(config.run);
  remove_leftovers(config.run + "/snapshots", *lock);
  for (const char* folder : {"", "/samples", "/rewound"}) remove_temporaries(config.run + folder);
  copy_log_to(config.run + "/log.txt");
  return lock;
}

std::unique_ptr<Recipe> read_train_config(const TrainOptions& o) {
  if (!o.resume.empty()) require_run(o.resume);
  auto recipe = read_recipe(read_config(o.resume.empty() ? o.config : o.resume + "/config.toml", o.overrides));
  if (!o.resume.empty()) recipe->config().run = o.resume;
  return recipe;
}

// A run keeps its slots: where the config leaves them open, those of the snapshot it goes on from.
void keep_slots(TrainConfig& train, const std::string& snapshot) {
  if (train.reduction_slots != 0) return;
  train.reduction_slots = read_recipe(read_config(snapshot + "/state/config.toml"))->config().train.reduction_slots;
}

void train_with(Recipe& given, const TrainOptions& o, Communicator& ranks, FleetTime::Clock::time_point begin,
                int64_t& steps_done) {
  const RunConfig& config = given.config();
  Profile profile(parse_profile(o.profile, config.train.steps), config.run, ranks);  // first: it outlives the threads
  std::unique_ptr<RunLock> lock;
  std::string snapshot;
  together(ranks, "start", [&] {
    if (config.device == Device::cuda) require_cuda(ranks.alone() ? 0 : local_rank());
    if (config.precision == Precision::tf32) kernels::matmul_precision = kernels::MatmulPrecision::tf32;
    require_memory(given, ranks.size());
    if (!ranks.first()) return;
    learn_device_peak(config);
    lock = prepare_folder(config);
    if (const auto found = newest_usable(config)) snapshot = found->path;
    require<Exit::snapshot>(o.resume.empty() || !snapshot.empty(), o.resume, ": holds no snapshot to resume from");
  });
  snapshot = broadcast(ranks, "the snapshot to go on from", snapshot);
  std::optional<Run> run;
  together(ranks, "making the model", [&] {
    if (!snapshot.empty()) keep_slots(given.config().train, snapshot);
    telling_the_plan(given, [&] { run.emplace(given, ranks); });
    if (!snapshot.empty()) run->resume(snapshot);
    steps_done = run->steps_done();
  });
  const Recipe& recipe = run->recipe();
  run->meet();
  if (!snapshot.empty()) inform("resumed from ", snapshot);
  if (run->steps_done() > 0 && run->steps_done() >= config.train.steps)
    inform("all ", config.train.steps, " steps are done; a larger train.steps goes on");
  if (ranks.first()) {
    write_file_durably(config.run + "/config.toml", recipe.print());
    inform(print_plan(recipe, recipe.epoch(), ranks.size()));
  }
  if (config.device == Device::cuda) inform(device_table(Device::cuda).name);
  if (!ranks.alone()) inform(ranks.size(), " ranks, ", recipe.config().train.reduction_slots, " reduction slots");
  inform(cpu_name(), ", ", pool().threads(), " threads, ", name_of(active_target()), " kernels");
  TrainLoop loop(*run, profile, begin);
  if (run->steps_done() < config.train.steps)
    inform("first step ",
           std::lround(10 * std::chrono::duration<double>(FleetTime::Clock::now() - begin).count()) / 10.0,
           " s after the program began");
  try {
    telling_the_plan(recipe, [&] { loop.to_the_end(); });
  } catch (...) {
    steps_done = run->steps_done();
    throw;
  }
  steps_done = run->steps_done();
  copy_log_to("");
}

// Between the steps of no run, where nothing needs to be saved.
void check_stop() {
  if (const int signal = stop_signal())
    fail<Exit::stopped>("stopped by SIG", name_of_signal(signal), "; the same command goes on");
}

void train_model(const TrainOptions& o) {
  const auto begin = FleetTime::Clock::now();
  require<Exit::usage>(o.config.empty() != o.resume.empty(), "train: give a config file, or --resume RUN");
  const std::unique_ptr<Communicator> ranks = join_ranks();
  collect_warnings(!ranks->first());
  if (!ranks->alone()) set_default_threads(threads_of_a_rank());
  std::optional<RankStatus> status;
  int64_t steps_done = 0;
  try {
    std::unique_ptr<Recipe> recipe;
    std::optional<HubertChain> chain;
    together(*ranks, "reading the config", [&] {
      if (o.resume.empty()) chain = read_hubert_chain(o.config, o.overrides);
      require<Exit::usage>(!chain || o.profile.empty(), "--profile is for a single run, and not for a chain of them");
      if (chain) return;
      recipe = read_train_config(o);
      parse_profile(o.profile, recipe->config().train.steps);
    });
    if (!chain) ranks->set_deadline(recipe->config().train.deadline);
    if (launched()) status.emplace(chain ? chain->run : recipe->config().run, ranks->rank());
    ranks->when_lost([&](const Error& e) { status->write(e.code, steps_done, e.what()); });
    listen_for_stop();
    if (chain)
      run_hubert_chain(
          *chain, *ranks, [&](Recipe& stage) { train_with(stage, o, *ranks, begin, steps_done); }, check_stop);
    else
      train_with(*recipe, o, *ranks, begin, steps_done);
    if (status) status->write(Exit::ok, steps_done, "all steps are done");
  } catch (const std::exception& e) {
    const auto* const known = dynamic_cast<const Error*>(&e);
    const Error why = known ? *known : Error(Exit::failure, e.what());  // a library's: the others must hear of it, too
    if (why.code != Exit::stopped) ranks->leave(why);
    collect_warnings(false);
    warn_each_line("", take_warnings());
    if (status) status->write(why.code, steps_done, why.what());
    throw;
  }
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto* command = app.add_subcommand("train", "Train a model; goes on by itself where the run folder holds a snapshot");
  auto o = std::make_shared<TrainOptions>();
  command->add_option("config", o->config, "Config file (TOML)")->type_name("FILE");
  command->add_option("overrides", o->overrides, "Replaces a value of the config, by its path: train.steps=200")
      ->type_name("KEY=VALUE");
  command->add_option("--resume", o->resume, "Run folder to go on with, by its own config.toml")->type_name("FOLDER");
  command->add_option("--profile", o->profile, "START:STOP: steps to record a timeline of, in RUN/profile/trace.json")
      ->type_name("STEPS");
  command->callback([o] {
    if (!o->resume.empty() && !o->config.empty()) {  // everything that stands there is an override then
      o->overrides.insert(o->overrides.begin(), o->config);
      o->config.clear();
    }
    train_model(*o);
  });
}

}  // namespace hinoki
