#include "core/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/base/in_quotes.h"
#include "core/base/json.h"

namespace hinoki {
namespace {

struct StoredType {
  const char* name;
  int64_t bytes;
  std::optional<DType> dtype;  // none: known to the format, not to Hinoki
};

constexpr StoredType kTypes[] = {
    {"F32", 4, DType::f32},    {"F64", 8, DType::f64},       {"BF16", 2, DType::bf16},     {"F16", 2, DType::f16},
    {"I32", 4, DType::i32},    {"I64", 8, DType::i64},       {"U8", 1, DType::u8},         {"U16", 2, DType::u16},
    {"U32", 4, DType::u32},    {"U64", 8, std::nullopt},     {"I16", 2, std::nullopt},     {"I8", 1, std::nullopt},
    {"BOOL", 1, std::nullopt}, {"F8_E4M3", 1, std::nullopt}, {"F8_E5M2", 1, std::nullopt}, {"F8_E8M0", 1, std::nullopt},
    {"C64", 8, std::nullopt},
};

const StoredType* find_type(std::string_view name) {
  for (const StoredType& type : kTypes)
    if (name == type.name) return &type;
  return nullptr;
}

// Receives the header's JSON as events, so that a header of 100 MB never becomes a tree of gigabytes.
// Levels: 1 the header, 2 one tensor or the metadata, 3 a list of numbers.
class HeaderEvents : public nlohmann::json_sax<Json> {
 public:
  HeaderEvents(SafetensorsHeader& header, const std::string& name) : header_(header), name_(name) {}

  bool start_object(size_t) override {
    if (level_ >= 2 || in_list_) refuse("unexpected object");
    if (++level_ == 2 && !in_metadata_) header_.entries.emplace_back().name = tensor_;
    return true;
  }
  bool end_object() override {
    if (level_ == 2 && !in_metadata_ && seen_ != 7) refuse("needs dtype, shape and data_offsets");
    --level_;
    return true;
  }
  bool key(std::string& key) override {
    if (level_ == 1) {
      tensor_ = key;
      in_metadata_ = key == "__metadata__";
      if (in_metadata_ && metadata_seen_) refuse("__metadata__ appears twice");
      metadata_seen_ |= in_metadata_;
      seen_ = 0;
    } else if (in_metadata_) {
      if (header_.metadata.contains(key)) refuse("metadata " + in_quotes(key) + " appears twice");
      field_ = key;
    } else {
      const int bit = key == "dtype" ? 1 : key == "shape" ? 2 : key == "data_offsets" ? 4 : 0;
      if (!bit || (seen_ & bit)) refuse("unexpected key " + in_quotes(key));
      seen_ |= bit;
      field_ = key;
    }
    return true;
  }
  bool string(std::string& value) override {
    if (level_ != 2 || in_list_ || !(in_metadata_ || field_ == "dtype")) refuse("unexpected text");
    (in_metadata_ ? header_.metadata[field_] : header_.entries.back().dtype) = value;
    return true;
  }
  bool start_array(size_t) override {
    if (level_ != 2 || in_metadata_ || in_list_ || field_ == "dtype") refuse("unexpected list");
    in_list_ = true;
    numbers_ = 0;
    return true;
  }
  bool end_array() override {
    if (field_ == "data_offsets" && numbers_ != 2) refuse("data_offsets are two numbers");
    in_list_ = false;
    return true;
  }
  bool number_unsigned(uint64_t value) override {
    if (!in_list_ || value > static_cast<uint64_t>(INT64_MAX)) refuse(say("unexpected number ", value));
    SafetensorsEntry& entry = header_.entries.back();
    const auto number = static_cast<int64_t>(value);
    if (field_ == "shape") {
      if (numbers_ == Shape::kMaxRank) refuse(say("more than ", Shape::kMaxRank, " axes"));
      entry.shape.push_back(number);
    } else {
      if (numbers_ == 2) refuse("data_offsets are two numbers");
      (numbers_ == 0 ? entry.begin : entry.end) = number;
    }
    ++numbers_;
    return true;
  }
  bool number_integer(int64_t value) override { refuse(say("unexpected number ", value)); }
  bool number_float(double, const std::string& text) override { refuse("unexpected number " + text); }
  bool null() override { refuse("unexpected null"); }
  bool boolean(bool) override { refuse("unexpected true or false"); }
  bool binary(Json::binary_t&) override { refuse("unexpected binary value"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    fail<Exit::data>(name_, ": header: broken JSON at byte ", 8 + position, ": ", error.what());
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail<Exit::data>(name_, ": header: ", what, level_ > 1 ? " (at " + in_quotes(tensor_) + ")" : "");
  }

  SafetensorsHeader& header_;
  const std::string& name_;
  std::string tensor_, field_;
  int level_ = 0, seen_ = 0, numbers_ = 0;
  bool in_metadata_ = false, metadata_seen_ = false, in_list_ = false;
};

void check_entry(const SafetensorsEntry& entry, const std::string& name) {
  const auto refuse = [&](const auto&... why) { fail<Exit::data>(name, ": tensor ", in_quotes(entry.name), why...); };
  const StoredType* const type = find_type(entry.dtype);
  if (!type) refuse(" has the unknown dtype ", in_quotes(entry.dtype));
  int64_t bytes = type->bytes;
  for (const int64_t size : entry.shape)
    if (__builtin_mul_overflow(bytes, size, &bytes))
      refuse(" of shape ", entry.shape, " is larger than can be counted");
  if (entry.begin > entry.end || entry.end - entry.begin != bytes)
    refuse(" of shape ", entry.shape, " and dtype ", entry.dtype, " takes ", bytes, " bytes, but its offsets are ",
           entry.begin, " to ", entry.end);
}

// Every byte belongs to exactly one tensor: no overlaps, no holes in which something else could travel.
void check_layout(const std::vector<SafetensorsEntry>& entries, int64_t data_bytes, const std::string& name) {
  std::vector<const SafetensorsEntry*> in_order;
  for (const SafetensorsEntry& entry : entries) in_order.push_back(&entry);
  std::sort(in_order.begin(), in_order.end(), [](const SafetensorsEntry* a, const SafetensorsEntry* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  int64_t at = 0;
  for (const SafetensorsEntry* entry : in_order) {
    const auto refuse = [&](const auto&... why) {
      fail<Exit::data>(name, ": tensor ", in_quotes(entry->name), why...);
    };
    if (entry->begin < at) refuse(" begins at data byte ", entry->begin, ", inside the tensor that ends at ", at);
    if (entry->begin > at)
      refuse(" begins at data byte ", entry->begin, " and leaves a hole behind the tensor that ends at ", at);
    if (entry->end > data_bytes)
      refuse(" ends at data byte ", entry->end, ", but the file holds ", data_bytes, ": it is cut short or damaged");
    at = entry->end;
  }
  require<Exit::data>(at == data_bytes, name, ": ", data_bytes - at, " bytes from data byte ", at,
                      " on belong to no tensor");
}

}  // namespace

SafetensorsHeader read_safetensors_header(std::span<const std::byte> file, const std::string& name) {
  require<Exit::data>(file.size() >= 8, name, ": has ", file.size(), " bytes, too few for a safetensors file");
  uint64_t length;
  std::memcpy(&length, file.data(), 8);
  require<Exit::data>(length <= kMaxSafetensorsHeader, name, ": claims a header of ", length,
                      " bytes; safetensors allows ", kMaxSafetensorsHeader);
  require<Exit::data>(length <= file.size() - 8, name, ": claims a header of ", length, " bytes, but only ",
                      file.size() - 8, " follow: it is cut short or no safetensors file");
  const auto* const text = reinterpret_cast<const char*>(file.data()) + 8;
  require<Exit::data>(length > 0 && text[0] == '{', name, ": the header at byte 8 is not a JSON object");
  SafetensorsHeader header;
  header.data_start = 8 + static_cast<int64_t>(length);
  HeaderEvents events(header, name);
  Json::sax_parse(text, text + length, &events);

  for (const SafetensorsEntry& entry : header.entries) check_entry(entry, name);
  check_layout(header.entries, static_cast<int64_t>(file.size()) - header.data_start, name);
  auto& entries = header.entries;
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t i = 1; i < entries.size(); ++i)
    if (entries[i - 1].name == entries[i].name)
      fail<Exit::data>(name, ": holds tensor ", in_quotes(entries[i].name), " twice");
  return header;
}

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  SafetensorsFile file;
  file.file_ = MappedFile(path);
  file.header_ = read_safetensors_header(file.file_.bytes(), path);
  return file;
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto& entries = header_.entries;
  const auto at = std::lower_bound(entries.begin(), entries.end(), name,
                                   [](const SafetensorsEntry& entry, std::string_view n) { return entry.name < n; });
  return at != entries.end() && at->name == name ? &*at : nullptr;
}

StoredTensor SafetensorsFile::at(std::string_view name) const& {
  const SafetensorsEntry* const entry = find(name);
  if (!entry) fail<Exit::data>(path(), ": has no tensor ", in_quotes(name));
  const auto dtype = find_type(entry->dtype)->dtype;
  if (!dtype) fail<Exit::data>(path(), ": tensor ", in_quotes(name), " is ", entry->dtype, ", which Hinoki lacks");
  return {*dtype, entry->shape,
          file_.bytes().subspan(static_cast<size_t>(header_.data_start + entry->begin),
                                static_cast<size_t>(entry->end - entry->begin))};
}

namespace {

// Pickles are programs, and never run here.
const char* remedy_for_pickles(const std::string& folder) {
  for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json"})
    if (is_file(folder + "/" + name))
      return "; its weights are pickles (pytorch_model.bin), which are never read: open the folder with transformers "
             "and write it anew by save_pretrained(FOLDER, safe_serialization=True)";
  return "";
}

}  // namespace

ModelWeights ModelWeights::open(const std::string& folder, const std::string& stem) {
  ModelWeights weights;
  weights.folder_ = folder;
  const std::string single = folder + "/" + stem + ".safetensors", index = single + ".index.json";
  if (is_file(index) && !is_file(single)) {
    const Json json = parse_json(read_file(index, kMaxSafetensorsHeader), index);
    std::map<std::string, size_t> opened;
    for (const auto& [name, file] : json_member(json, "weight_map", Json::value_t::object, index).items()) {
      const auto refuse = [&, &name = name](const auto&... why) {
        fail<Exit::data>(index, ": weight_map: ", in_quotes(name), why...);
      };
      if (!file.is_string()) refuse(" does not name a file");
      const auto& shard = file.get_ref<const std::string&>();
      if (shard.empty() || shard == "." || shard == ".." || shard.find_first_of(std::string("/\0", 2)) != shard.npos)
        refuse(" lies in ", in_quotes(shard), ", which is not a file of the folder");
      const auto [at, is_new] = opened.emplace(shard, weights.shards_.size());
      if (is_new) weights.shards_.push_back(SafetensorsFile::open(folder + "/" + shard));
      if (!weights.shards_[at->second].contains(name)) refuse(" should lie in ", shard, ", which does not hold it");
      weights.shard_of_.emplace(name, at->second);
    }
  } else {
    require<Exit::data>(is_file(single), folder, ": holds neither ", stem, ".safetensors nor ", stem,
                        ".safetensors.index.json", remedy_for_pickles(folder));
    weights.shards_.push_back(SafetensorsFile::open(single));
    for (const SafetensorsEntry& entry : weights.shards_[0].entries()) weights.shard_of_.emplace(entry.name, 0);
  }
  for (const auto& [name, shard] : weights.shard_of_) weights.names_.push_back(name);
  return weights;
}

StoredTensor ModelWeights::at(const std::string& name) const& {
  const auto shard = shard_of_.find(name);
  if (shard == shard_of_.end()) fail<Exit::data>(folder_, ": the model has no tensor ", in_quotes(name));
  return shards_[shard->second].at(name);
}

const char* safetensors_name(DType dtype) {
  for (const StoredType& type : kTypes)
    if (type.dtype == dtype) return type.name;
  fail("safetensors has no dtype ", dtype);
}

}  // namespace hinoki
