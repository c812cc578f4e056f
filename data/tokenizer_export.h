// Writes a sentencepiece model as the tokenizer files of a Hugging Face folder: spiece.model, tokenizer.json,
// tokenizer_config.json and special_tokens_map.json. What the tokenizers library makes of tokenizer.json are the ids of
// Tokenizer::encode, for any text but two kinds: the noncharacters U+10FFFE and U+10FFFF, which the normaliser needs for itself, and
// texts so long that sentencepiece's float sums round.
// Models with a dummy prefix and user symbols differ beside those symbols: there the library puts no prefix.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/tokenizer.h"

namespace hinoki {

void export_tokenizer(const std::filesystem::path& spiece_model, const std::filesystem::path& folder);

// The contents of tokenizer.json.
nlohmann::ordered_json tokenizer_json(const Tokenizer& tokenizer, const std::string& name);

}  // namespace hinoki
