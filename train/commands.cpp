#include "train/commands.h"

#include <initializer_list>

namespace hinoki {

void add_commands(CLI::App& app) {
  for (const auto add :
       {add_tokenizer_command, add_data_command, add_train_command, add_generate_command, add_chat_command,
        add_transcribe_command, add_eval_command, add_export_command, add_import_command, add_probe_command, add_snapshot_command,
        add_plan_command, add_bench_command, add_doctor_command})
    add(app);
}

}  // namespace hinoki
