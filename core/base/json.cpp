#include "core/base/json.h"

#include <set>
#include <vector>

#include "core/base/check.h"
#include "core/base/in_quotes.h"

namespace hinoki {
namespace {

constexpr int kDeepestJson = 64;

// The library keeps the last of two equal keys without a word; two readers could then see two different files.
class Guard {
 public:
  explicit Guard(const std::string& name) : name_(name) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      require<Exit::data>(depth < kDeepestJson, name_, ": nested deeper than ", kDeepestJson, " levels");
      keys_.resize(static_cast<size_t>(depth) + 1);
      keys_.back().clear();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.at(static_cast<size_t>(depth) - 1).insert(key).second)
        fail<Exit::data>(name_, ": key ", in_quotes(key), " appears twice in one object");
    }
    return true;
  }

 private:
  const std::string& name_;
  std::vector<std::set<std::string>> keys_;  // of the objects that enclose the current place
};

}  // namespace

Json parse_json(std::string_view text, const std::string& name) {
  Guard guard(name);
  try {
    return Json::parse(text.begin(), text.end(),
                       [&](int depth, Json::parse_event_t event, Json& parsed) { return guard(depth, event, parsed); });
  } catch (const Json::parse_error& error) {
    fail<Exit::data>(name, ": broken JSON at byte ", error.byte, ": ", error.what());
  } catch (const Json::exception& error) {
    fail<Exit::data>(name, ": broken JSON: ", error.what());
  }
}

const Json& json_member(const Json& object, const char* key, Json::value_t type, const std::string& name) {
  require<Exit::data>(object.is_object() && object.contains(key), name, ": has no ", in_quotes(key));
  const Json& member = object[key];
  const bool fits = member.type() == type || (type == Json::value_t::number_integer && member.is_number_unsigned() &&
                                              member.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  require<Exit::data>(fits, name, ": ", in_quotes(key), " has the wrong type (", member.type_name(), ")");
  return member;
}

}  // namespace hinoki
