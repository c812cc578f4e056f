#include "tests/support/simulated_disk.h"

#include <fcntl.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "core/base/check.h"
#include "core/base/philox.h"
#include "tests/support/temporary_folder.h"

namespace hinoki {
namespace {

constexpr size_t kPage = 4096;

void write_into(std::string& data, int64_t offset, std::string_view bytes) {
  data.resize(std::max(data.size(), size_t(offset) + bytes.size()));
  data.replace(size_t(offset), bytes.size(), bytes);
}

// A fair coin for each change, the same whenever the same cut is made again.
class Coins {
 public:
  Coins(uint64_t seed, const std::string& path) : key_{.seed = seed, .site = hash_name(path)} {}
  bool toss() { return philox(key_, next_++)[0] & 1; }

 private:
  RandomKey key_;
  uint64_t next_ = 0;
};

}  // namespace

SimulatedDisk::SimulatedDisk(const std::filesystem::path& root) : root_(root.string()) { load(root); }

SimulatedDisk::Id SimulatedDisk::make(Node node) {
  nodes_.push_back(std::move(node));
  return nodes_.size() - 1;
}

SimulatedDisk::Id SimulatedDisk::load(const std::filesystem::path& path) {
  const Id id = make({.folder = std::filesystem::is_directory(path)});
  if (!nodes_[id].folder) {
    nodes_[id].data = nodes_[id].flushed = bytes_of_file(path);
    return id;
  }
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    const Id below = load(entry.path());
    nodes_[id].names[entry.path().filename()] = below;
  }
  nodes_[id].flushed_names = nodes_[id].names;
  return id;
}

SimulatedDisk::Id SimulatedDisk::find(const std::string& path) const {
  if (!path.starts_with(root_) || (path.size() > root_.size() && path[root_.size()] != '/')) return kNone;
  Id id = 0;
  std::istringstream parts(path.substr(root_.size()));
  for (std::string part; std::getline(parts, part, '/');) {
    if (part.empty()) continue;
    const auto at = nodes_[id].names.find(part);
    if (at == nodes_[id].names.end()) return kNone;
    id = at->second;
  }
  return id;
}

std::pair<SimulatedDisk::Id, std::string> SimulatedDisk::folder_of(const std::string& path) const {
  const size_t slash = path.rfind('/');
  return {find(path.substr(0, slash)), path.substr(slash + 1)};
}

// All names lie in the folder of `path`.
void SimulatedDisk::rename(const std::string& path, Renaming renaming) {
  const Id folder = folder_of(path).first;
  if (folder == kNone) return;
  Node& node = nodes_[folder];
  for (const auto& [name, id] : renaming) id == kNone ? void(node.names.erase(name)) : void(node.names[name] = id);
  node.renamings.push_back(std::move(renaming));
}

void SimulatedDisk::open(const DiskCall& call) {
  Id id = find(call.path);
  if (id == kNone && (call.flags & O_CREAT) && folder_of(call.path).first != kNone) {
    id = make({});
    rename(call.path, {{folder_of(call.path).second, id}});
  }
  files_[call.file] = id;
}

void SimulatedDisk::flush(Node& node) {
  node.flushed = node.data;
  node.changes.clear();
  node.flushed_names = node.names;
  node.renamings.clear();
}

void SimulatedDisk::apply(const DiskCall& call) {
  const auto name = [&](const std::string& path) { return folder_of(path).second; };
  const auto file = files_.find(call.file);
  Node* const node = file != files_.end() && file->second != kNone ? &nodes_[file->second] : nullptr;
  switch (call.kind) {
    case DiskCall::open:
      return open(call);
    case DiskCall::close:
      return void(files_.erase(call.file));
    case DiskCall::pwrite:
      if (!node) return;
      write_into(node->data, call.offset, call.bytes);
      return node->changes.push_back({call.offset, call.bytes, false});
    case DiskCall::truncate:
      if (!node) return;
      node->data.resize(size_t(call.offset));
      return node->changes.push_back({call.offset, "", true});
    case DiskCall::fsync:
      return node ? flush(*node) : void();
    case DiskCall::rename:
      require(folder_of(call.path).first == folder_of(call.other).first, "a rename between folders is not simulated");
      return rename(call.path, {{name(call.path), kNone}, {name(call.other), find(call.path)}});
    case DiskCall::exchange:
      return rename(call.path, {{name(call.path), find(call.other)}, {name(call.other), find(call.path)}});
    case DiskCall::mkdir:
      return rename(call.path, {{name(call.path), make({.folder = true})}});
    case DiskCall::unlink:
    case DiskCall::rmdir:
      return rename(call.path, {{name(call.path), kNone}});
  }
}

void SimulatedDisk::add(Tree& tree, const std::string& path, Id id, Loss loss) const {
  const Node& node = nodes_[id];
  Coins coins(loss.seed, path);
  if (node.folder) {
    const bool all = loss.kind == Loss::nothing || loss.kind == Loss::data || loss.kind == Loss::data_zeroed;
    Names names = all ? node.names : node.flushed_names;
    for (const Renaming& renaming : node.renamings) {
      if (loss.kind != Loss::some || !coins.toss()) continue;
      for (const auto& [name, to] : renaming) to == kNone ? void(names.erase(name)) : void(names[name] = to);
    }
    if (!path.empty()) tree[path + "/"];
    for (const auto& [name, below] : names) add(tree, path + "/" + name, below, loss);
    return;
  }
  const bool all = loss.kind == Loss::nothing || loss.kind == Loss::names;
  std::string data = all ? node.data : node.flushed;
  for (const Change& change : node.changes) {
    if (loss.kind == Loss::data_zeroed) {
      if (change.resizes)
        data.resize(size_t(change.offset));
      else
        write_into(data, change.offset, std::string(change.bytes.size(), '\0'));
    }
    if (loss.kind != Loss::some) continue;
    if (change.resizes && coins.toss()) data.resize(size_t(change.offset));
    for (size_t at = 0; at < change.bytes.size(); at += kPage)
      if (coins.toss()) write_into(data, change.offset + int64_t(at), change.bytes.substr(at, kPage));
  }
  tree[path] = std::move(data);
}

SimulatedDisk::Tree SimulatedDisk::after_power_cut(Loss loss) const {
  Tree tree;
  add(tree, "", 0, loss);
  return tree;
}

void write_tree(const SimulatedDisk::Tree& tree, const std::filesystem::path& folder) {
  for (const auto& [path, bytes] : tree) {
    const std::string whole = folder.string() + path;
    if (path.ends_with('/'))
      std::filesystem::create_directories(whole);
    else
      std::ofstream(whole, std::ios::binary) << bytes;
  }
}

}  // namespace hinoki
