#include "train/train_loop.h"

#include <cmath>
#include <sstream>

#include "core/base/file.h"
#include "core/base/log.h"
#include "train/device_peak.h"
#include "train/plan.h"
#include "train/signals.h"

namespace hinoki {
namespace {

constexpr double kWorthALine = 0.1;  // how much slower than the median

bool due(int64_t step, int64_t every, int64_t last) { return step == last || (every && step % every == 0); }

}  // namespace

void Records::step(const StepReport& r, const Progress& progress, double goodput) {
  std::vector<Scalar> all{{"train/loss", r.loss},
                          {"train/learning_rate", r.learning_rate},
                          {"train/gradient_norm", r.gradient_norm},
                          {"speed/seconds", r.seconds},
                          {rate_, progress.rate()},
                          {"speed/goodput", goodput}};
  if (progress.knows_peak()) all.push_back({"speed/share_of_peak", progress.share_of_peak()});
  all.insert(all.end(), r.shown.scalars.begin(), r.shown.scalars.end());
  write(r.step, all);
}

void Records::samples(int64_t step, const std::vector<std::string>& texts) {
  for (size_t i = 0; i < texts.size(); ++i) events_.add_text(step, say("sample/", i), texts[i]);
}

// A kill in the midst leaves records of later steps, which the next start removes: the steps are done again, and come
// to the same rewind.
void Records::rewind(const StepReport& r) {
  const auto [to, first_row, rows] = *r.rewind;
  make_directory(run_ + "/rewound");
  set_records_aside(metrics_.path(), to, say(run_, "/rewound/step-", r.step, "-row-", first_row + rows, ".jsonl"));
  metrics_ = MetricsFile(metrics_.path(), to);
  events_ = EventFile(run_, to);
  metrics_.append(to + 1, {{"rewind/from_step", r.step}, {"rewind/first_row", first_row}, {"rewind/rows", rows}});
}

void Records::write(int64_t step, const std::vector<Scalar>& values) {
  Metrics line;
  for (const Scalar& s : values) line.emplace_back(s.tag, s.value);
  metrics_.append(step, line);
  events_.add_scalars(step, values);
}

TrainLoop::TrainLoop(Run& run, Profile& profile, FleetTime::Clock::time_point begin)
    : config_(run.config().log),
      folder_(run.config().run),
      last_(run.config().train.steps),
      run_(run),
      profile_(profile),
      progress_(last_, config_.every, run.recipe().throughput(),
                run.ranks().first() ? device_peak_gflops(run.config()) * run.ranks().size() : 0, run.config().device),
      records_(run.ranks().first()
                   ? std::make_optional<Records>(folder_, run.steps_done(), run.recipe().throughput().metric)
                   : std::nullopt),
      fleet_(begin, records_ ? records_->removed_until() : -1),
      saved_(run.steps_done()) {
  if (fleet_.redone_until() > saved_)
    inform("steps ", saved_ + 1, " to ", fleet_.redone_until(), " were done before and are done again");
}

TrainLoop::~TrainLoop() {
  try {
    run_.settle_saving();  // what all ranks have not finished together cannot be finished by one
    show_saved();
  } catch (const std::exception& e) {
    warn("a snapshot was not saved: ", e.what());
  }
}

void TrainLoop::to_the_end() {
  try {
    while (run_.steps_done() < last_) step();
    finish_saving();
    if (records_) tell_goodput();
  } catch (const Error& e) {  // a damaged shard, say: what was learned before is kept
    if (e.code == Exit::data && !run_.sharded()) save(), finish_saving();
    throw;
  }
}

void TrainLoop::step() {
  profile_.begin(run_.steps_done() + 1);
  const StepReport report = run_.step(stop_signal());
  const int64_t step = report.step;
  if (records_) {
    const Trace trace("records");
    progress_.step(report);
    if (!report.skipped.empty()) warn("skipped ", report.skipped);
    fleet_.step(step, report.seconds, report.busy);
    records_->step(report, progress_, fleet_.goodput());
    if (report.rewind) records_->rewind(report), fleet_.redo_until(step);
    if (due(step, config_.every, last_)) tell_slowest(step);
    plans_.record_first();
    show_saved();
  }
  if (report.warned) tell_warnings();
  if (report.rewind)
    saved_ = -1;  // the snapshot of its step goes on with the batches that are left out now
  else
    between_steps(step);
  profile_.end(step);
  const int64_t done = run_.steps_done();
  if (report.stop && done < last_) {
    save();
    finish_saving();
    profile_.finish();
    fail<Exit::stopped>("stopped by SIG", name_of_signal(report.stop), " after step ", done,
                        " and saved; `hinoki train --resume ", folder_, "` goes on");
  }
}

void TrainLoop::between_steps(int64_t step) {
  if (due(step, config_.evaluate_every, last_)) evaluate(step);
  if (records_ && due(step, config_.sample_every, last_)) write_samples(step);
  if (due(step, config_.snapshot_every, last_)) save();
}

void TrainLoop::tell_goodput() {
  inform("goodput ", std::lround(1000 * fleet_.goodput()) / 10.0, " % of the time since the start was in useful steps");
}

void TrainLoop::tell_slowest(int64_t step) {
  const auto slowest = fleet_.slowest();
  if (!slowest) return;
  records_->slowest(step, *slowest);
  if (slowest->over_median < kWorthALine) return;
  inform("step ", step, " | the others wait for ", run_.ranks().name(slowest->rank), ": it takes ",
         std::lround(100 * slowest->over_median), " % longer than the median rank");
}

void TrainLoop::evaluate(int64_t step) {
  const Trace trace("evaluation");
  const Validation v = run_.validate();
  if (!records_) return;
  inform("step ", step, " | validation ", v.text);
  records_->validation(step, v);
  plans_.record();
}

void TrainLoop::write_samples(int64_t step) {
  const Trace trace("samples");
  const auto texts = run_.samples();
  if (texts.empty()) return;
  std::string all;
  for (const std::string& text : texts) all += text + "\n\n";
  make_directory(folder_ + "/samples");
  write_file_durably(say(folder_, "/samples/step-", step, ".txt"), all);
  for (const std::string& text : texts) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) inform("  | ", line);
  }
  records_->samples(step, texts);
  plans_.record();
}

void TrainLoop::tell_warnings() {
  const std::vector<std::string> all = gather(run_.ranks(), "warnings", take_warnings());
  for (size_t r = 0; records_ && r < all.size(); ++r) warn_each_line(say("rank ", r, ": "), all[r]);
}

void TrainLoop::save() {
  if (saved_ == run_.steps_done()) return;
  const Trace trace("save");
  const auto sync = [this] {  // before the snapshot that continues from them is there
    if (records_) records_->sync();
  };
  const double blocked = run_.start_saving(sync);
  if (records_) records_->save(run_.steps_done(), blocked);
  saved_ = run_.steps_done();
}

void TrainLoop::show_saved() {
  const auto saved = run_.saved();
  if (!saved) return;
  inform("saved ", saved->path, " (blocked ", std::lround(1e3 * saved->blocked), " ms)");
}

void TrainLoop::finish_saving() {
  run_.finish_saving();
  show_saved();
}

void warn_each_line(const std::string& who, const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) warn(who, line);
}

}  // namespace hinoki
