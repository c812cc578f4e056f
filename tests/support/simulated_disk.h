// A disk in memory that knows what a power cut may take: what was written into a file since its last fsync, and the
// names made, changed and removed in a folder since the folder's. It promises no more than POSIX does: a file's fsync
// does not save its name, and unflushed changes reach the disk in any order. A rename is one change.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/recorded_calls.h"

namespace hinoki {

// What a power cut takes of all that was not flushed.
struct Loss {
  enum Kind {
    nothing,  // it was a kill: the system lives on and writes all of it
    everything,
    data,         // names are there, their files as short as they were at the last flush (delayed allocation)
    data_zeroed,  // names and sizes are there, zeros in place of the data
    names,        // data is there, in the files that still have a name
    some,         // any of it, by seed: names, pages of 4 KiB, sizes
  } kind;
  uint64_t seed = 0;
};

class SimulatedDisk {
 public:
  // Holds what is below `root`, all of it flushed. Calls outside of it are ignored.
  explicit SimulatedDisk(const std::filesystem::path& root);

  void apply(const DiskCall& call);

  // Files and, with an empty text and a "/" behind the name, folders below the root, by their paths.
  using Tree = std::map<std::string, std::string>;
  Tree after_power_cut(Loss loss) const;

 private:
  struct Change {  // of a file: bytes at an offset, or a new size
    int64_t offset;
    std::string bytes;
    bool resizes;
  };
  using Id = size_t;
  using Names = std::map<std::string, Id>;
  using Renaming = std::vector<std::pair<std::string, Id>>;  // names that change together; kNone: removed
  struct Node {
    bool folder = false;
    std::string data = {}, flushed = {};
    std::vector<Change> changes = {};  // since the flush
    Names names = {}, flushed_names = {};
    std::vector<Renaming> renamings = {};
  };
  static constexpr Id kNone = ~Id{0};

  Id load(const std::filesystem::path& path);
  Id make(Node node);
  Id find(const std::string& path) const;  // kNone: outside of the root, or absent
  std::pair<Id, std::string> folder_of(const std::string& path) const;
  void rename(const std::string& path, Renaming renaming);
  void open(const DiskCall& call);
  void flush(Node& node);
  void add(Tree& tree, const std::string& path, Id id, Loss loss) const;

  std::string root_;
  std::vector<Node> nodes_;  // the first is the root; none is ever forgotten
  std::map<int, Id> files_;  // that are open
};

// Writes such a tree below a folder.
void write_tree(const SimulatedDisk::Tree& tree, const std::filesystem::path& folder);

}  // namespace hinoki
