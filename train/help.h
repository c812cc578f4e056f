// What --help prints: every command's options in the same words, wrapped for a terminal.
#pragma once
namespace CLI {
class App;
}

namespace hinoki {

// Before commands are added: they take it over.
void set_help(CLI::App& app);

}  // namespace hinoki
