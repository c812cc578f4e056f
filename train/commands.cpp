#include "train/commands.h"

#include <CLI/CLI.hpp>
#include <initializer_list>

#include "train/help.h"

namespace hinoki {
namespace {

// The program has it, for all of them.
void drop_help_all(CLI::App& command) {
  command.set_help_all_flag();
  for (CLI::App* below : command.get_subcommands(nullptr)) drop_help_all(*below);
}

}  // namespace

void add_commands(CLI::App& app) {
  set_help(app);
  for (const auto add :
       {add_tokenizer_command, add_data_command, add_train_command, add_generate_command, add_chat_command,
        add_transcribe_command, add_eval_command, add_export_command, add_import_command, add_probe_command, add_snapshot_command,
        add_plan_command, add_bench_command, add_doctor_command})
    add(app);
  for (CLI::App* command : app.get_subcommands(nullptr)) drop_help_all(*command);
}

}  // namespace hinoki
