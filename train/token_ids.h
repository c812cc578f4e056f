// Token ids on the command line.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hinoki {

// Decimal numbers from 0 on, separated by spaces. Anything else fails with Exit::usage and names the word.
std::vector<int32_t> parse_token_ids(const std::string& text);

}  // namespace hinoki
