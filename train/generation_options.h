// The command-line options that say how tokens are drawn: the same for generate and chat.
#pragma once
#include "models/generation.h"
#include "train/model_folder.h"

namespace CLI {
class App;
}

namespace hinoki {

void add_generation_options(CLI::App& command, GenerationOptions& options, std::vector<std::string>& stop);
// Exit::usage on a text of the command line, given as `option`, that is broken.
void require_utf8(const char* option, const std::string& text);

// --dtype: how the CPU keeps matrices, which a step reads in full; layers compute in f32 either way.
enum class MatrixStorage : uint8_t { as_stored, bf16 };
void add_storage_option(CLI::App& command, MatrixStorage& storage);
LoadedModel open_model(const std::string& folder, const Placement& where, MatrixStorage storage);

}  // namespace hinoki
