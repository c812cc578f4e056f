// The command-line options that say how tokens are drawn: the same for generate and chat.
#pragma once
#include "models/generation.h"

namespace CLI {
class App;
}

namespace hinoki {

void add_generation_options(CLI::App& command, GenerationOptions& options, std::vector<std::string>& stop);

}  // namespace hinoki
