// The fields of a config struct (its fields() list) from and to a JSON file of transformers.
#pragma once
#include <string>
#include <type_traits>
#include <vector>

#include "core/base/file.h"
#include "core/base/json.h"

namespace hinoki {

// Reads those keys that are there.
class JsonReader {
 public:
  JsonReader(const Json& json, const std::string& file) : json_(json), file_(file) {}

  template <class T, class... Rules>
  void operator()(const char* key, T& value, Rules...) {
    const auto found = json_.find(key);
    if (found != json_.end() && !found->is_null()) read(key, *found, value);
  }

 private:
  template <class T>
  void read(const char* key, const Json& found, std::vector<T>& values) {
    require<Exit::data>(found.is_array() && found.size() <= kMaxItems, file_, ": \"", key, "\" is ", found.dump(),
                        ", which is not a list of at most ", kMaxItems);
    values.resize(found.size());
    for (size_t i = 0; i < values.size(); ++i) read(key, found[i], values[i]);
  }
  template <class T>
  void read(const char* key, const Json& found, T& value) {
    const bool fits = std::is_same_v<T, bool>          ? found.is_boolean()
                      : std::is_same_v<T, std::string> ? found.is_string()
                      : std::is_same_v<T, double>      ? found.is_number()
                                                       : found.is_number_integer();
    require<Exit::data>(fits, file_, ": \"", key, "\" is ", found.dump(), ", which is not of its type");
    value = found.get<T>();
    if constexpr (std::is_same_v<T, int64_t>)
      require<Exit::data>(value >= 0 && value < kMaxSize, file_, ": \"", key, "\" is ", found.dump(),
                          ", which is not between 0 and ", kMaxSize - 1);
  }

  static constexpr int64_t kMaxSize = int64_t{1} << 31;
  static constexpr size_t kMaxItems = 1024;
  const Json& json_;
  const std::string& file_;
};

class JsonWriter {
 public:
  explicit JsonWriter(Json& json) : json_(json) {}
  template <class T, class... Rules>
  void operator()(const char* key, T& value, Rules...) {
    json_[key] = value;
  }

 private:
  Json& json_;
};

// What this program computes in one way only: another value than `expected` is refused, an absent one is not.
inline void refuse_unless(const Json& json, const std::string& file, const char* key, const Json& expected) {
  if (json.contains(key) && !json[key].is_null())
    require<Exit::data>(json[key] == expected, file, ": \"", key, "\": ", json[key].dump(),
                        " is not supported; this program computes with ", expected.dump());
}

// A file of at most 1 MiB that holds an object.
inline Json read_json_object(const std::string& file) {
  Json json = parse_json(read_file(file, 1 << 20), file);
  require<Exit::data>(json.is_object(), file, ": not an object");
  return json;
}

}  // namespace hinoki
