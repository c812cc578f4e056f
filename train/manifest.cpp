#include "train/manifest.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/hash128.h"
#include "core/base/in_quotes.h"
#include "core/safetensors.h"

namespace hinoki {
namespace {

constexpr int64_t kMaxManifestBytes = int64_t{256} << 20;
constexpr std::string_view kHashMarker = ",\n \"manifest_hash\": \"";
constexpr std::string_view kManifestEnd = "\"\n}\n";
constexpr size_t kHashDigits = 32;
using Type = Json::value_t;

std::vector<TensorPlace> tensors_of(const std::string& path) {
  std::vector<TensorPlace> places;
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const SafetensorsEntry& entry : file.entries())
    places.push_back({entry.name, file.data_start() + entry.begin, file.data_start() + entry.end});
  return places;
}

std::vector<TensorPlace> tensors_of(const Json& file) {
  std::vector<TensorPlace> places;
  if (!file.contains("tensors")) return places;
  for (const Json& tensor : file["tensors"]) places.push_back({tensor["name"], tensor["begin"], tensor["end"]});
  return places;
}

// What the damaged bytes [begin, end) belong to: tensors whose own hash has changed, else the header.
std::string name_the_hit(const Json& expected, const Json& found, int64_t begin, int64_t end) {
  if (!expected.contains("tensors")) return "";
  std::map<std::string, std::string> hashes;
  for (const Json& tensor : found["tensors"]) hashes[tensor["name"]] = tensor["hash"];
  std::string hit;
  for (const Json& tensor : expected["tensors"])
    if (tensor["begin"] < end && tensor["end"] > begin && hashes[tensor["name"]] != tensor["hash"])
      hit += (hit.empty() ? "" : ", ") + in_quotes(tensor["name"].get<std::string>());
  return hit.empty() ? " in the header" : " in tensor " + hit;
}

Json describe(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  return describe_file(path, name, name.ends_with(".safetensors") ? tensors_of(path) : std::vector<TensorPlace>());
}

void verify_file(const std::string& folder, const Json& file, std::vector<std::string>& damage) {
  const std::string name = file.at("name");
  const std::string path = folder + "/" + name;
  if (!is_file(path)) return damage.push_back(path + ": is missing");
  try {
    const int64_t expected = file.at("bytes");
    int64_t size = file_size(path);
    Json found;
    if (size == expected) {
      found = describe_file(path, name, tensors_of(file));
      size = found["bytes"];  // it may shrink while it is read
    }
    if (size != expected) return damage.push_back(say(path, ": has ", size, " bytes instead of ", expected));
    for (size_t i = 0; i < file.at("blocks").size(); ++i) {
      if (found.at("blocks").at(i) == file["blocks"][i]) continue;
      const int64_t begin = static_cast<int64_t>(i) * kManifestBlock, end = std::min(begin + kManifestBlock, size);
      damage.push_back(say(path, ": the block of ", end - begin, " bytes from byte ", begin, " is damaged",
                           name_the_hit(file, found, begin, end)));
    }
  } catch (const Error& error) {
    damage.push_back(error.what());
  }
}

bool stays_inside(const std::string& name) {
  return !name.empty() && name[0] != '/' && name.find('\0') == std::string::npos && name != ".." &&
         !name.starts_with("../") && !name.ends_with("/..") && name.find("/../") == std::string::npos;
}

// The shape that verify_file relies on. The hash has vouched for it unless somebody made the file up.
void check_files(const Json& manifest, const std::string& name) {
  for (const Json& file : json_member(manifest, "files", Type::array, name)) {
    const std::string path = json_member(file, "name", Type::string, name);
    require<Exit::data>(stays_inside(path), name, ": lists ", in_quotes(path), ", which is outside of the snapshot");
    const int64_t bytes = json_member(file, "bytes", Type::number_integer, name);
    const Json& blocks = json_member(file, "blocks", Type::array, name);
    require<Exit::data>(
        bytes >= 0 && static_cast<int64_t>(blocks.size()) == bytes / kManifestBlock + (bytes % kManifestBlock != 0),
        name, ": ", blocks.size(), " blocks do not make ", bytes, " bytes");
    for (const Json& hash : blocks) require<Exit::data>(hash.is_string(), name, ": a block's hash is no text");
    if (!file.contains("tensors")) continue;
    for (const Json& tensor : json_member(file, "tensors", Type::array, name)) {
      json_member(tensor, "name", Type::string, name);
      json_member(tensor, "hash", Type::string, name);
      json_member(tensor, "begin", Type::number_integer, name);
      json_member(tensor, "end", Type::number_integer, name);
    }
  }
}

}  // namespace

void write_manifest(const std::string& folder, const Json& facts, const KnownFiles& known) {
  Json manifest = {{"format", "hinoki snapshot"}, {"version", 1}, {"facts", facts}, {"files", Json::array()}};
  for (const std::string& name : list_tree(folder)) {
    if (name == kManifestName) continue;
    const auto at = known.find(name);
    manifest["files"].push_back(at != known.end() ? at->second : describe(folder, name));
  }
  for (const auto& [name, file] : known)
    require(is_file(folder + "/" + name), folder, "/", name, ": was written and is gone");
  std::string text = manifest.dump(1);
  text.resize(text.size() - 2);  // without "\n}", to which the hash is added by hand
  text += kHashMarker;
  text += hash128_hex(bytes_of(text));
  text += kManifestEnd;
  FileWriter file = FileWriter::create(folder + "/" + kManifestName);
  file.write(text);
  file.sync();
  file.close();
}

Json parse_manifest(std::string_view text, const std::string& name) {
  const size_t tail = kHashDigits + kManifestEnd.size();
  const std::string_view before = text.substr(0, text.size() - std::min(tail, text.size()));
  const bool whole = text.size() > tail && before.ends_with(kHashMarker) && text.ends_with(kManifestEnd) &&
                     text.substr(before.size(), kHashDigits) == hash128_hex(bytes_of(before));
  require<Exit::snapshot>(whole, name, ": is damaged or cut short");
  try {
    Json manifest = parse_json(text, name);
    require<Exit::data>(json_member(manifest, "format", Type::string, name) == "hinoki snapshot" &&
                            json_member(manifest, "version", Type::number_integer, name) == 1,
                        name, ": is of a format that this program does not know");
    json_member(manifest, "facts", Type::object, name);
    check_files(manifest, name);
    return manifest;
  } catch (const Error& error) {
    fail<Exit::snapshot>(error.what());
  }
}

Json read_manifest(const std::string& folder) {
  const std::string path = folder + "/" + kManifestName;
  require<Exit::snapshot>(is_file(path), path, ": is missing: the snapshot was never finished");
  std::string text;
  try {
    text = read_file(path, kMaxManifestBytes);
  } catch (const Error& error) {
    fail<Exit::snapshot>(error.what());
  }
  return parse_manifest(text, path);
}

std::vector<std::string> verify_snapshot(const std::string& folder) {
  std::vector<std::string> damage;
  try {
    const Json manifest = read_manifest(folder);
    for (const Json& file : manifest.at("files")) verify_file(folder, file, damage);
  } catch (const Error& error) {
    damage.push_back(error.what());
  }
  return damage;
}

void require_verified(const std::string& folder) {
  std::string lines;
  for (const std::string& line : verify_snapshot(folder)) lines += "\n  " + line;
  require<Exit::snapshot>(lines.empty(), folder, ": the snapshot is damaged:", lines);
}

}  // namespace hinoki
