#include "train/saving.h"

namespace hinoki {

Saving::Saving(SnapshotTexts texts, const Parameters& parameters, const Optimizer& optimizer, Communicator& ranks,
               bool sharded)
    : parameters_(parameters),
      optimizer_(optimizer),
      ranks_(ranks),
      sharded_(sharded),
      writer_(std::move(texts), parameters) {
  if (sharded || ranks.first()) writer_.reserve(snapshot_pieces(parameters, optimizer));
}

double Saving::start(SaveRequest request) {
  if (!sharded_ && !ranks_.first()) return 0;
  const auto check = [&, step = request.state.step] {
    const std::string bad = find_not_finite_weight(parameters_);
    require<Exit::numerical>(bad.empty(), "step ", step, ": not finite is ", bad,
                             "; no snapshot was written of it");
  };
  if (!sharded_) {
    check();
    return writer_.save(std::move(request), snapshot_pieces(parameters_, optimizer_));
  }
  finish();
  together(ranks_, "looking for what is not finite before a snapshot", check);
  std::string folder;
  together(ranks_, "opening the snapshot", [&] {
    if (ranks_.first()) folder = writer_.open(std::move(request));
  });
  folder = broadcast(ranks_, "the snapshot's folder", folder);
  under_way_ = true;
  return writer_.write(folder, snapshot_pieces(parameters_, optimizer_));
}

void Saving::heard(int64_t parts_done) {
  if (!under_way_ || parts_done < ranks_.size()) return;
  under_way_ = false;
  if (ranks_.first()) writer_.publish();
}

void Saving::finish() {
  if (!sharded_) return writer_.wait();
  if (under_way_) {
    together(ranks_, "writing the parts of the snapshot", [&] { writer_.wait(); });
    heard(ranks_.size());
  }
  together(ranks_, "publishing the snapshot", [&] { writer_.wait(); });
}

}  // namespace hinoki
