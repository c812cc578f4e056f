#include "core/safetensors_writer.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/base/json.h"
#include "core/safetensors.h"

namespace hinoki {
namespace {

int64_t written_bytes(const TensorSpec& spec) {
  int64_t bytes;
  require(!__builtin_mul_overflow(spec.shape.numel(), static_cast<int64_t>(size_of(spec.dtype)), &bytes), "tensor ",
          spec.name, " of shape ", spec.shape, " is too large");
  return bytes;
}

// Wide elements first, so that every tensor is aligned to its element; then by name.
bool comes_before(const TensorSpec* a, const TensorSpec* b) {
  return std::pair(size_of(b->dtype), a->name) < std::pair(size_of(a->dtype), b->name);
}

std::string header_of(const std::vector<const TensorSpec*>& specs, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json;
  if (!metadata.empty()) json["__metadata__"] = metadata;
  int64_t at = 0;
  for (const TensorSpec* spec : specs) {
    const int64_t end = at + written_bytes(*spec);
    json[spec->name] = {{"dtype", safetensors_name(spec->dtype)},
                        {"shape", std::vector<int64_t>(spec->shape.begin(), spec->shape.end())},
                        {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = json.is_null() ? "{}" : json.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  require(static_cast<int64_t>(text.size()) <= kMaxSafetensorsHeader, "a safetensors header of ", text.size(),
          " bytes: write fewer tensors into one file");
  const uint64_t length = text.size();
  std::string header(8, '\0');
  std::memcpy(header.data(), &length, 8);
  return header + text;
}

std::string shard_name(const std::string& stem, size_t i, size_t count) {
  if (count == 1) return stem + ".safetensors";
  char part[64];
  std::snprintf(part, sizeof part, "-%05zu-of-%05zu.safetensors", i + 1, count);
  return stem + part;
}

}  // namespace

SafetensorsLayout::SafetensorsLayout(std::vector<TensorSpec> specs, SafetensorsOptions options) : stem_(options.stem) {
  std::sort(specs.begin(), specs.end(), [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  std::vector<std::vector<const TensorSpec*>> shards(1);
  int64_t filled = 0, total = 0;
  for (const TensorSpec& spec : specs) {
    require(&spec == specs.data() || (&spec)[-1].name != spec.name, "two tensors are named ", spec.name);
    require(spec.name != "__metadata__", "a tensor cannot be named __metadata__");
    const int64_t bytes = written_bytes(spec);
    if (filled + bytes > options.shard_bytes && !shards.back().empty()) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(&spec);
    filled += bytes;
    total += bytes;
  }
  Json weight_map = Json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    std::sort(shards[i].begin(), shards[i].end(), comes_before);
    File file{
        .name = shard_name(stem_, i, shards.size()), .header = header_of(shards[i], options.metadata), .bytes = 0};
    file.bytes = static_cast<int64_t>(file.header.size());
    for (const TensorSpec* spec : shards[i]) {
      places_[spec->name] = {.file = i, .offset = file.bytes, .bytes = written_bytes(*spec)};
      weight_map[spec->name] = file.name;
      file.bytes += written_bytes(*spec);
    }
    files_.push_back(std::move(file));
  }
  if (shards.size() > 1)
    index_ = Json{{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}}.dump(2) + "\n";
}

const SafetensorsLayout::Place& SafetensorsLayout::place(const std::string& tensor) const {
  const auto at = places_.find(tensor);
  require(at != places_.end(), "tensor ", tensor, " is not in the layout of ", files_[0].name);
  return at->second;
}

SafetensorsWriter SafetensorsWriter::create(const std::string& folder, SafetensorsLayout layout) {
  SafetensorsWriter writer(std::move(layout));
  for (const auto& file : writer.layout_.files()) {
    FileWriter out = FileWriter::create(folder + "/" + file.name);
    out.write(file.header);
    out.truncate(file.bytes);
    writer.files_.push_back(std::move(out));
  }
  const std::string& index = writer.layout_.index();
  if (!index.empty()) {
    FileWriter out = FileWriter::create(folder + "/" + writer.layout_.index_name());
    out.write(index);
    out.sync();
    out.close();
  }
  return writer;
}

SafetensorsWriter SafetensorsWriter::join(const std::string& folder, SafetensorsLayout layout) {
  SafetensorsWriter writer(std::move(layout));
  for (const auto& file : writer.layout_.files()) {
    writer.files_.push_back(FileWriter::open(folder + "/" + file.name));
    require(writer.files_.back().size() == file.bytes, folder, "/", file.name, ": has ", writer.files_.back().size(),
            " bytes where this rank expects ", file.bytes);
  }
  return writer;
}

void SafetensorsWriter::write(const std::string& tensor, int64_t offset, std::span<const std::byte> bytes) {
  const SafetensorsLayout::Place& place = layout_.place(tensor);
  const auto size = static_cast<int64_t>(bytes.size());
  require(0 <= offset && offset <= place.bytes && size <= place.bytes - offset, "tensor ", tensor, " has ", place.bytes,
          " bytes; cannot write ", size, " at offset ", offset);
  files_[place.file].pwrite(bytes, place.offset + offset);
  written_[tensor] += size;
}

void SafetensorsWriter::write(const std::string& tensor, std::span<const std::byte> bytes) {
  const int64_t expected = layout_.place(tensor).bytes;
  require(static_cast<int64_t>(bytes.size()) == expected, "tensor ", tensor, " has ", expected, " bytes, not ",
          bytes.size());
  write(tensor, 0, bytes);
}

void SafetensorsWriter::finish() {
  for (const auto& [tensor, place] : layout_.places())
    require(written_[tensor] == place.bytes, "tensor ", tensor, ": ", written_[tensor], " of ", place.bytes,
            " bytes were written");
  finish_part();
}

void SafetensorsWriter::finish_part() {
  for (FileWriter& file : files_) {
    file.sync();
    file.close();
  }
}

}  // namespace hinoki
