// Sorts any number of small records in flat memory: sorted runs on the disk, merged as they are read back. The records
// are plain bytes in files that this process alone reads.
#pragma once
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <queue>
#include <type_traits>
#include <vector>

#include "core/base/check.h"
#include "core/base/file_system.h"

namespace hinoki {

// Add all, then take all: smallest first.
template <class Record>
class ExternalSort {
  static_assert(std::is_trivially_copyable_v<Record>);

 public:
  // Runs go into `folder`, which exists, under names that begin with `name`.
  ExternalSort(std::filesystem::path folder, std::string name, size_t memory = size_t{64} << 20)
      : folder_(std::move(folder)), name_(std::move(name)), at_once_(std::max<size_t>(memory / sizeof(Record), 1)) {}

  void add(const Record& record) {
    records_.push_back(record);
    if (records_.size() >= at_once_) spill();
  }

  // The next record in order; false after the last.
  bool take(Record& out) {
    if (!merging_) begin_merge();
    if (heads_.empty()) {
      if (at_ == records_.size()) return false;
      out = records_[at_++];
      return true;
    }
    Head head = heads_.top();
    heads_.pop();
    out = head.record;
    if (head.run->take(head.record)) heads_.push(head);
    return true;
  }

 private:
  static constexpr size_t kMostRuns = 256;  // each is an open file while they are merged

  struct Run {
    explicit Run(const std::filesystem::path& path) : path(path), in(path, std::ios::binary) {}
    bool take(Record& out) {
      in.read(reinterpret_cast<char*>(&out), sizeof out);
      require<Exit::data>(in.gcount() == sizeof out || in.eof(), "cannot read ", path, ": ", std::strerror(errno));
      return in.gcount() == sizeof out;
    }
    std::filesystem::path path;
    std::ifstream in;
  };
  struct Head {
    Record record;
    Run* run;
    bool operator<(const Head& other) const { return other.record < record; }  // the heap's top is the smallest
  };

  std::filesystem::path write(auto&& each) {
    const std::filesystem::path path = folder_ / (name_ + std::to_string(written_++));
    std::ofstream out(path, std::ios::binary);
    each([&](const Record& r) { out.write(reinterpret_cast<const char*>(&r), sizeof r); });
    out.close();
    if (!out.good()) fail_writing("write", path.string(), errno);
    return path;
  }

  void spill() {
    std::sort(records_.begin(), records_.end());
    paths_.push_back(write([&](auto&& put) { std::for_each(records_.begin(), records_.end(), put); }));
    records_.clear();
    if (paths_.size() < kMostRuns) return;
    open_runs();
    const auto merged = write([&](auto&& put) {
      for (Record r; take(r);) put(r);
    });
    for (const auto& path : paths_) std::filesystem::remove(path);
    runs_.clear();
    paths_ = {merged};
    merging_ = false;
  }

  void open_runs() {
    merging_ = true;
    for (const auto& path : paths_) {
      runs_.push_back(std::make_unique<Run>(path));
      Head head{.record = {}, .run = runs_.back().get()};
      if (head.run->take(head.record)) heads_.push(head);
    }
  }

  void begin_merge() {
    if (!paths_.empty() && !records_.empty()) spill();
    std::sort(records_.begin(), records_.end());
    open_runs();
    if (!paths_.empty()) records_.shrink_to_fit();
  }

  std::filesystem::path folder_;
  std::string name_;
  size_t at_once_, at_ = 0;
  int64_t written_ = 0;
  bool merging_ = false;
  std::vector<Record> records_;
  std::vector<std::filesystem::path> paths_;
  std::vector<std::unique_ptr<Run>> runs_;
  std::priority_queue<Head> heads_;
};

}  // namespace hinoki
