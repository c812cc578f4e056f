// The program: one binary, a verb for each thing one does with a model.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <new>

#include "core/base/check.h"
#include "core/base/parallel.h"
#include "train/commands.h"

int main(int argc, char** argv) {
  using hinoki::Exit;
  CLI::App app{"Hinoki trains Japanese foundation models, from raw corpus to Hugging Face folder.", "hinoki"};
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", HINOKI_VERSION);
  app.set_help_all_flag("--help-all", "Help of every command");
  app.add_option_function<int>("--threads", [](int n) { hinoki::set_threads(n); }, "Threads (default: all cores)")
      ->check(CLI::Range(1, 1024))
      ->trigger_on_parse();
  try {
    hinoki::add_commands(app);
    app.parse(argc, argv);
    return int(Exit::ok);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? int(Exit::ok) : int(Exit::usage);
  } catch (const hinoki::Error& e) {
    std::fprintf(stderr, "hinoki: %s\n", e.what());
    return int(e.code);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "hinoki: out of memory\n");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "hinoki: %s\n", e.what());
  }
  return int(Exit::failure);
}
