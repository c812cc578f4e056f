#include "core/base/log.h"

#include <cstdio>
#include <fstream>
#include <mutex>
#include <utility>

namespace hinoki {
namespace {

std::mutex printing;
bool quiet = false;
bool collecting = false;
bool live = false;  // the cursor stands behind a line that may go
std::string collected;
std::ofstream log_copy;

void end_live() {
  if (std::exchange(live, false)) std::fprintf(stderr, "\r\033[K");
}

}  // namespace

void write_log(const char* level, const std::string& line) {
  const std::lock_guard lock(printing);
  if (collecting) {
    if (*level) collected += line + "\n";
    return;
  }
  if (log_copy.is_open()) log_copy << level << line << std::endl;
  if (quiet && !*level) return;
  end_live();
  std::fprintf(stderr, "%s%s\n", level, line.c_str());
}

void show_live(const std::string& line) {
  const std::lock_guard lock(printing);
  if (quiet) return;
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  live = true;
}

void clear_live() {
  const std::lock_guard lock(printing);
  end_live();
}

void record(const std::string& line) {
  const std::lock_guard lock(printing);
  if (log_copy.is_open()) log_copy << line << std::endl;
}

void set_quiet(bool value) {
  const std::lock_guard lock(printing);
  quiet = value;
}

void collect_warnings(bool collect) {
  const std::lock_guard lock(printing);
  collecting = collect;
}
bool warnings_wait() {
  const std::lock_guard lock(printing);
  return !collected.empty();
}
std::string take_warnings() {
  const std::lock_guard lock(printing);
  return std::exchange(collected, "");
}

void copy_log_to(const std::string& path) {
  const std::lock_guard lock(printing);
  log_copy.close();
  log_copy.clear();
  if (!path.empty()) log_copy.open(path, std::ios::app);
}

}  // namespace hinoki
