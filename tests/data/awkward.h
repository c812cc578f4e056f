// Japanese that tokenizers stumble over, made by rule, and a small tokenizer trained on some of it.
#pragma once
#include <string>
#include <vector>

#include "data/tokenizer_training.h"

namespace hinoki {

// The same lines for the same count: sentences with half-width kana, dakuten in NFD, kanji outside the first plane,
// variation selectors, joined emoji, ideographic and repeated spaces, tabs, rare scripts. No newlines in them.
std::vector<std::string> awkward_lines(int64_t count);

// Trained once per newline policy and normalisation, then kept.
const Tokenizer& small_tokenizer(Newline newline = Newline::plain, bool nfkc = false);

}  // namespace hinoki
