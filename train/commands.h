// The verbs of the command line: each adds itself to the program's parser.
#pragma once

namespace CLI {
class App;
}

namespace hinoki {

void add_data_command(CLI::App& app);
void add_snapshot_command(CLI::App& app);
void add_tokenizer_command(CLI::App& app);

}  // namespace hinoki
