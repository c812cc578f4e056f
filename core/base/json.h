// JSON from outside: bounded in depth, no key twice, and every complaint an Error that names the file and the byte.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace hinoki {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // keeps the order in which people read it

// `name` is the file, for messages. Fails with Exit::data.
Json parse_json(std::string_view text, const std::string& name);
// The member `key` of `object`, of the given type, or an Exit::data error.
const Json& json_member(const Json& object, const char* key, Json::value_t type, const std::string& name);

}  // namespace hinoki
