// Saves while training goes on: the training thread copies what it has, another one writes, flushes, describes and
// publishes the copy. At most one save is under way, so there is one copy, kept between saves.
//
// Who is alone calls save(). Ranks write one snapshot together, each its pieces into files that rank 0 has made:
//   rank 0: open()    all: write()    all, some steps later: part_done()    rank 0: publish()
// Nothing here talks to another rank: training threads tell each other the folder, and that all parts are done.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>

#include "core/base/worker.h"
#include "train/publication.h"
#include "train/staged_files.h"

namespace hinoki {

struct SaveRequest {
  using Clock = std::chrono::steady_clock;

  RunState state;
  std::function<void()> before_publishing = {};  // called on the writer's thread
  std::function<void(const std::string& folder)> remembered = {};  // writes what else the task goes on from; likewise
  Clock::time_point asked = Clock::now();        // since when training waits
};

class SnapshotWriter {
 public:
  SnapshotWriter(SnapshotTexts texts, const Parameters& parameters);
  ~SnapshotWriter();  // waits; warns of an error that nobody has been told

  // Takes the memory for copies of such pieces, so that the first save is as short as any.
  void reserve(const SnapshotPieces& pieces);

  // Returns when the copy is made: the seconds that training stood still, also for the save before. Every call throws,
  // once, what the thread has failed with; of such a snapshot nothing is left, and those before it stay.
  double save(SaveRequest request, const SnapshotPieces& pieces);

  std::string open(SaveRequest request);  // makes the folder, and files of full size; its path is what write() wants
  double write(const std::string& folder, const SnapshotPieces& pieces);
  bool part_done() const { return part_done_; }  // what write() was given is on the disk
  void publish();                                // and remove what retention gives up

  void check() { worker_.check(); }
  void wait() { worker_.wait(); }  // until the thread has nothing to do

  struct Saved {
    std::string path;
    double blocked;  // seconds that training stood still for it
  };
  std::optional<Saved> finished();  // the snapshot published since the last call

 private:
  void copy(const SnapshotPieces& pieces);
  void give(std::function<void()> job);
  void or_drop(const std::function<void()>& action);
  void write_part(const std::string& folder);
  void publish_now();

  const SnapshotTexts texts_;
  const std::string snapshots_;
  StagedFiles weights_, training_;
  KnownFiles known_;
  SaveRequest request_;
  double blocked_ = 0;
  std::optional<Publication> publication_;  // of rank 0, until all is published
  std::atomic<bool> part_done_ = false;
  std::mutex mutex_;
  std::optional<Saved> finished_;
  Worker worker_{"snapshot"};  // last: it uses the others
};

}  // namespace hinoki
