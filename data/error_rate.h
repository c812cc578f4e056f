// How far a recogniser's text is from what was said: character and word error rates, by the least number of
// substitutions, deletions and insertions that make one of the other (Levenshtein 1966).
#pragma once
#include <cstdint>
#include <string_view>

namespace hinoki {

struct Errors {
  int64_t substitutions = 0, deletions = 0, insertions = 0;
  int64_t length = 0;  // of the reference

  int64_t all() const { return substitutions + deletions + insertions; }
  // Errors per unit of the reference: above 1 where much was inserted. Over an empty reference: 0 without errors, else
  // infinite.
  double rate() const;
  // Of a corpus: counts add up, so long utterances weigh more.
  Errors& operator+=(const Errors& other);
};

// By code points. White space (ASCII's and U+3000) is left out of both, for Japanese has none to be right about. Other
// differences of writing count: normalise both texts first if half-width forms, say, should not. Among equally short
// ways, the one with the most substitutions is counted, so counts do not depend on the direction of the search. Broken
// UTF-8 is Exit::data.
Errors character_errors(std::string_view reference, std::string_view hypothesis);
// By words: what stands between white space.
Errors word_errors(std::string_view reference, std::string_view hypothesis);

}  // namespace hinoki
