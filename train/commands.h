// The verbs of the command line: each adds itself to the program's parser.
#pragma once
namespace CLI {
class App;
}

namespace hinoki {

using Count = long long;  // what printf takes

void add_bench_command(CLI::App& app);
void add_data_command(CLI::App& app);
void add_data_chat_commands(CLI::App& data);      // below `data`
void add_data_clusters_command(CLI::App& data);
void add_data_labels_command(CLI::App& data);
void add_data_speech_command(CLI::App& data);
void add_doctor_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_export_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_import_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_probe_command(CLI::App& app);
void add_snapshot_command(CLI::App& app);
void add_tokenizer_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_transcribe_command(CLI::App& app);

void add_commands(CLI::App& app);  // all of them

}  // namespace hinoki
