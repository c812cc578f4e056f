// The program: one binary, a verb for each thing one does with a model.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <new>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/parallel.h"
#include "train/commands.h"
#include "train/fields.h"

namespace {

// A full disk or a closed device behind stdout is found out here or never.
void require_printed() {
  std::cout.flush();
  if (!std::cout.good() || std::fflush(stdout) != 0 || std::ferror(stdout))
    hinoki::fail("cannot write all to standard output: ", std::strerror(errno));
}

bool unknown_command(const CLI::App& app) {
  if (!app.get_subcommands().empty() || app.remaining().empty() || app.remaining()[0].starts_with('-')) return false;
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands(nullptr)) known.push_back(command->get_name());
  const std::string word = app.remaining()[0];
  std::fprintf(stderr, "hinoki: there is no command \"%s\"%s\n", word.c_str(),
               hinoki::config::suggestion(word, known).c_str());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  using hinoki::Exit;
  CLI::App app{"Hinoki trains Japanese foundation models, from raw corpus to Hugging Face folder.", "hinoki"};
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", HINOKI_VERSION);
  app.set_help_all_flag("--help-all", "Help of every command");
  app.add_option_function<int>(
         "--threads", [](int n) { hinoki::set_threads(n); }, "Threads, of any command (default: all cores)")
      ->check(CLI::Range(1, 1024))
      ->trigger_on_parse();
  try {
    hinoki::add_commands(app);
    app.parse(argc, argv);
    require_printed();
    return int(Exit::ok);
  } catch (const CLI::ParseError& e) {
    if (unknown_command(app)) return int(Exit::usage);
    const int code = app.exit(e);
    return code == 0 ? int(Exit::ok) : int(Exit::usage);
  } catch (const hinoki::Error& e) {
    hinoki::clear_live();
    std::fprintf(stderr, "hinoki: %s\n", e.what());
    return int(e.code);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "hinoki: out of memory\n");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "hinoki: %s\n", e.what());
  }
  return int(Exit::failure);
}
