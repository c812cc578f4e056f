#include "core/base/log.h"

#include <cstdio>
#include <fstream>
#include <mutex>
#include <utility>

namespace hinoki {
namespace {

std::mutex mutex;
bool quiet = false;
bool collecting = false;
bool live = false;  // the cursor stands behind a line that may go
std::string collected;
std::ofstream copy;

void end_live() {
  if (std::exchange(live, false)) std::fprintf(stderr, "\r\033[K");
}

}  // namespace

void write_log(const char* level, const std::string& line) {
  const std::lock_guard lock(mutex);
  if (collecting) {
    if (*level) collected += line + "\n";
    return;
  }
  if (copy.is_open()) copy << level << line << std::endl;
  if (quiet && !*level) return;
  end_live();
  std::fprintf(stderr, "%s%s\n", level, line.c_str());
}

void show_live(const std::string& line) {
  const std::lock_guard lock(mutex);
  if (quiet) return;
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  live = true;
}

void clear_live() {
  const std::lock_guard lock(mutex);
  end_live();
}

void record(const std::string& line) {
  const std::lock_guard lock(mutex);
  if (copy.is_open()) copy << line << std::endl;
}

void set_quiet(bool value) {
  const std::lock_guard lock(mutex);
  quiet = value;
}

void collect_warnings(bool collect) {
  const std::lock_guard lock(mutex);
  collecting = collect;
}
bool warnings_wait() {
  const std::lock_guard lock(mutex);
  return !collected.empty();
}
std::string take_warnings() {
  const std::lock_guard lock(mutex);
  return std::exchange(collected, "");
}

void copy_log_to(const std::string& path) {
  const std::lock_guard lock(mutex);
  copy.close();
  copy.clear();
  if (!path.empty()) copy.open(path, std::ios::app);
}

}  // namespace hinoki
