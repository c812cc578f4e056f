// Snapshots of a run, written by one rank or by all of them. Where every rank holds everything, rank 0 writes alone;
// where the optimizer is sharded, each writes what it owns, and rank 0 publishes once a step's exchange has told that
// all parts are on the disk. Training goes on meanwhile.
#pragma once
#include "train/communicator.h"
#include "train/snapshot_writer.h"

namespace hinoki {

class Saving {
 public:
  Saving(SnapshotTexts texts, const Parameters& parameters, const Optimizer& optimizer, Communicator& ranks,
         bool sharded);

  // Every rank calls these at the same step. Where the optimizer is whole, rank 0 needs no other for them.
  double start(SaveRequest request);                      // the seconds that training stood still
  void finish();                                          // waits until what was started is published
  void settle() { writer_.wait(); }  // only until this rank's thread has nothing to do; asks no other rank

  // Between steps: is this rank's part of the snapshot under way on the disk, and how many ranks' parts are.
  int64_t part_done() const { return under_way_ && writer_.part_done(); }
  void heard(int64_t parts_done);
  void check() { writer_.check(); }  // throws what the writing thread has failed with
  std::optional<SnapshotWriter::Saved> finished() { return writer_.finished(); }

 private:
  const Parameters& parameters_;
  const Optimizer& optimizer_;
  Communicator& ranks_;
  const bool sharded_;
  bool under_way_ = false;  // written by all, not yet published
  SnapshotWriter writer_;
};

}  // namespace hinoki
