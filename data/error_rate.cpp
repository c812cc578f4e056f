#include "data/error_rate.h"

#include <limits>
#include <tuple>
#include <vector>

#include "core/base/check.h"
#include "data/utf8.h"

namespace hinoki {
namespace {

bool is_space(std::string_view character) {
  return character == "\u3000" ||
         (character.size() == 1 && std::string_view(" \t\n\v\f\r").find(character[0]) != std::string_view::npos);
}

// The characters of a text, white space among them.
std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> all;
  for (size_t at = 0; at < text.size();) {
    const int length = utf8_length(text.substr(at));
    require<Exit::data>(length > 0, "a text to compare has broken UTF-8 at byte ", at);
    all.push_back(text.substr(at, size_t(length)));
    at += size_t(length);
  }
  return all;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  bool inside = false;
  for (const std::string_view c : characters_of(text)) {
    if (is_space(c)) {
      inside = false;
    } else if (inside) {
      words.back() = {words.back().data(), words.back().size() + c.size()};
    } else {
      words.push_back(c);
      inside = true;
    }
  }
  return words;
}

// One row of the table of prefixes at a time: memory is that of one text.
Errors errors_between(const std::vector<std::string_view>& reference, const std::vector<std::string_view>& hypothesis) {
  const auto better = [](const Errors& a, const Errors& b) {
    return std::tuple(a.all(), -a.substitutions) < std::tuple(b.all(), -b.substitutions);
  };
  std::vector<Errors> row(hypothesis.size() + 1);  // of the reference's first i units against each prefix
  for (size_t j = 0; j < row.size(); ++j) row[j].insertions = int64_t(j);
  for (const std::string_view said : reference) {
    Errors diagonal = row[0];
    ++row[0].deletions;
    for (size_t j = 1; j < row.size(); ++j) {
      Errors best = diagonal, deleted = row[j], inserted = row[j - 1];
      best.substitutions += said != hypothesis[j - 1];
      ++deleted.deletions;
      ++inserted.insertions;
      if (better(deleted, best)) best = deleted;
      if (better(inserted, best)) best = inserted;
      diagonal = row[j];
      row[j] = best;
    }
  }
  Errors errors = row.back();
  errors.length = int64_t(reference.size());
  return errors;
}

}  // namespace

double Errors::rate() const {
  if (length > 0) return double(all()) / double(length);
  return all() ? std::numeric_limits<double>::infinity() : 0;
}

Errors& Errors::operator+=(const Errors& other) {
  substitutions += other.substitutions;
  deletions += other.deletions;
  insertions += other.insertions;
  length += other.length;
  return *this;
}

Errors character_errors(std::string_view reference, std::string_view hypothesis) {
  std::vector<std::string_view> said = characters_of(reference), heard = characters_of(hypothesis);
  for (auto* text : {&said, &heard}) std::erase_if(*text, is_space);
  return errors_between(said, heard);
}

Errors word_errors(std::string_view reference, std::string_view hypothesis) {
  return errors_between(words_of(reference), words_of(hypothesis));
}

}  // namespace hinoki
