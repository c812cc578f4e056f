#include "train/snapshot_writer.h"

#include "core/base/log.h"
#include "core/base/trace.h"
#include "train/rewind.h"

namespace hinoki {
namespace {

constexpr double kWorthAWord = 1;  // seconds

double seconds_since(SaveRequest::Clock::time_point start) {
  return std::chrono::duration<double>(SaveRequest::Clock::now() - start).count();
}

}  // namespace

SnapshotWriter::SnapshotWriter(SnapshotTexts texts, const Parameters& parameters)
    : texts_(std::move(texts)),
      snapshots_(texts_.config.run + "/snapshots"),
      weights_(SnapshotLayout(parameters).weights, ""),
      training_(SnapshotLayout(parameters).training, "/state") {}

SnapshotWriter::~SnapshotWriter() {
  try {
    wait();
  } catch (const std::exception& e) {
    warn("a snapshot was not saved: ", e.what());
  }
}

void SnapshotWriter::reserve(const SnapshotPieces& pieces) {
  wait();
  weights_.reserve(pieces.weights);
  training_.reserve(pieces.training);
  give([this] { weights_.touch(), training_.touch(); });
}

double SnapshotWriter::save(SaveRequest request, const SnapshotPieces& pieces) {
  const std::string folder = open(std::move(request));
  copy(pieces);
  or_drop([&] { require(weights_.whole() && training_.whole(), folder, ": the pieces leave holes in the snapshot"); });
  give([this, folder] { write_part(folder); });
  publish();
  return blocked_;
}

std::string SnapshotWriter::open(SaveRequest request) {
  const auto start = SaveRequest::Clock::now();
  wait();
  require(!publication_, "the snapshot of step ", request_.state.step, " was never published");
  if (const double waited = seconds_since(start); waited > kWorthAWord)
    inform("training waited ", waited, " s for the snapshot of step ", request_.state.step,
           " to be written before the next: the disk is slower than log.snapshot_every asks for");
  request_ = std::move(request);
  or_drop([&] {
    publication_.emplace(snapshots_, request_.state.step);
    make_directory(publication_->folder() + "/state");
    for (StagedFiles* files : {&weights_, &training_}) files->create(publication_->folder());
  });
  return publication_->folder();
}

double SnapshotWriter::write(const std::string& folder, const SnapshotPieces& pieces) {
  copy(pieces);
  give([this, folder] { write_part(folder); });
  return blocked_;
}

void SnapshotWriter::copy(const SnapshotPieces& pieces) {
  const auto start = publication_ ? request_.asked : SaveRequest::Clock::now();
  wait();
  const Trace trace("copy the snapshot");
  part_done_ = false;
  or_drop([&] {
    weights_.copy(pieces.weights);
    training_.copy(pieces.training);
  });
  blocked_ = seconds_since(start);
}

void SnapshotWriter::publish() {
  give([this] { publish_now(); });
}

void SnapshotWriter::write_part(const std::string& folder) {
  const Trace trace("write");
  known_.clear();
  for (StagedFiles* files : {&weights_, &training_}) {
    if (!files->is_open()) files->join(folder);
    files->write(known_);
  }
  if (publication_) write_texts(folder, texts_, request_.state);
  if (publication_ && request_.remembered) request_.remembered(folder);
  part_done_ = true;
}

void SnapshotWriter::publish_now() {
  const Trace trace("publish", "step", request_.state.step);
  if (request_.before_publishing) request_.before_publishing();
  const std::string path =
      publication_->publish({{"recipe", texts_.config.recipe}, {"step", request_.state.step}}, known_);
  publication_.reset();
  {
    const std::lock_guard lock(mutex_);
    finished_ = {path, blocked_};
  }
  for (const SnapshotPath& old : to_prune(snapshots_, retention(texts_.config), path)) remove_snapshot(old);
}

void SnapshotWriter::give(std::function<void()> job) {
  worker_.give([this, job = std::move(job)] { or_drop(job); });
}

// After an error nothing may hold the disk's space: not the folder, nor a file of it that is still open.
void SnapshotWriter::or_drop(const std::function<void()>& action) {
  try {
    action();
  } catch (...) {
    for (StagedFiles* files : {&weights_, &training_}) files->close();
    publication_.reset();
    throw;
  }
}

std::optional<SnapshotWriter::Saved> SnapshotWriter::finished() {
  const std::lock_guard lock(mutex_);
  return std::exchange(finished_, std::nullopt);
}

}  // namespace hinoki
