// hinoki plan: what a config will need; runs nothing.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "train/commands.h"
#include "train/recipe.h"

namespace hinoki {
void add_plan_command(CLI::App& app) {
  struct Options {
    std::string config;
    std::vector<std::string> overrides;
    int ranks = 1;
    bool run_folder = false;
  };
  auto* command = app.add_subcommand("plan", "Print parameters, FLOPs, memory and steps of a config; runs nothing");
  auto o = std::make_shared<Options>();
  command->add_option("config", o->config, "Config file (TOML)")->type_name("FILE")->required();
  command->add_option("overrides", o->overrides, "Replaces a value of the config, by its path: train.steps=200")
      ->type_name("KEY=VALUE");
  command->add_option("--ranks", o->ranks, "Ranks that share the work: memory is that of one of them")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 16));
  command->add_flag("--run-folder", o->run_folder, "Print the run folder and nothing else, for scripts");
  command->callback([o] {
    const auto recipe = read_recipe(read_config(o->config, o->overrides));
    if (o->run_folder) return void(std::puts(recipe->config().run.c_str()));
    std::fputs(print_plan(*recipe, recipe->epoch(), o->ranks).c_str(), stdout);
  });
}

}  // namespace hinoki
