#include "train/token_ids.h"

#include <charconv>
#include <sstream>

#include "core/base/check.h"
#include "core/base/in_quotes.h"

namespace hinoki {

std::vector<int32_t> parse_token_ids(const std::string& text) {
  std::vector<int32_t> ids;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    require<Exit::usage>(error == std::errc() && end == word.data() + word.size() && id >= 0, in_quotes(word),
                         " is not a token id: ids are whole numbers from 0 on, separated by spaces");
    ids.push_back(id);
  }
  return ids;
}

}  // namespace hinoki
