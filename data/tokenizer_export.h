// Writes a sentencepiece model as the tokenizer files of a Hugging Face folder: spiece.model, tokenizer.json,
// tokenizer_config.json and special_tokens_map.json. What the tokenizers library makes of tokenizer.json are the ids of
// Tokenizer::encode, but for: the noncharacters U+10FFFE and U+10FFFF, which the normaliser needs for itself; texts so
// long that sentencepiece's float sums round; in an NFKC model U+11935 U+11930, a Dives Akuru vowel younger than that
// library's composition table; and, if a model has both a dummy prefix and user symbols, spaces beside those.
#pragma once
#include <filesystem>

#include "core/base/json.h"
#include "data/tokenizer.h"

namespace hinoki {

// `chat_template`: how conversations become text, for `apply_chat_template`; empty: nothing is said of it.
void export_tokenizer(const std::filesystem::path& spiece_model, const std::filesystem::path& folder,
                      const std::string& chat_template = "");

// The contents of tokenizer.json.
OrderedJson tokenizer_json(const Tokenizer& tokenizer, const std::string& name);

}  // namespace hinoki
