// One line to stderr at a time. Warnings stay visible when information is switched off.
#pragma once
#include <string>

#include "core/base/check.h"

namespace hinoki {

void write_log(const char* level, const std::string& line);
// A line on a terminal that the next one, live or not, takes the place of. Nobody looks it up later.
void show_live(const std::string& line);
void clear_live();
void set_quiet(bool quiet);
// For a process that is not the one that speaks for all: warnings wait until they are taken.
void collect_warnings(bool collect);
bool warnings_wait();
std::string take_warnings();  // a line each
// Every line also goes to `path` (appended); an empty path ends that.
void copy_log_to(const std::string& path);
// A line for that file alone: what somebody may look up later, and nobody watches.
void record(const std::string& line);

template <class... Parts>
void inform(const Parts&... parts) {
  write_log("", say(parts...));
}
template <class... Parts>
void warn(const Parts&... parts) {
  write_log("warning: ", say(parts...));
}

}  // namespace hinoki
