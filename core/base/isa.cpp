#include "core/base/isa.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/base/check.h"

namespace hinoki {
namespace {

bool runs(Target t) {
#if defined(__x86_64__)
  if (t == Target::avx512) return __builtin_cpu_supports("x86-64-v4");
  if (t == Target::avx2) return __builtin_cpu_supports("x86-64-v3");
#endif
  return t == Target::portable;
}

Target from_environment() {
  const char* wish = std::getenv("HINOKI_TARGET");
  if (!wish) return best_target();
  for (const Target t : {Target::portable, Target::avx2, Target::avx512})
    if (std::string(wish) == name_of(t)) return std::min(t, best_target());
  fail<Exit::usage>("HINOKI_TARGET=", wish, ": expected portable, avx2 or avx512");
}

Target& active() {
  static Target t = from_environment();
  return t;
}

}  // namespace

Target best_target() {
  static const Target best = [] {
    constexpr Target built[] = {HINOKI_BUILT_TARGETS};  // ascending
    for (int i = int(std::size(built)); i-- > 0;)
      if (runs(built[i])) return built[i];
    fail<Exit::usage>("this program was built for CPUs with ", name_of(built[0]),
                      " alone (HINOKI_CPU=native), which this one lacks; build it with -DHINOKI_CPU=all");
  }();
  return best;
}

Target active_target() { return active(); }

void set_target(Target t) {
  require<Exit::usage>(t <= best_target(), "this CPU does not run ", name_of(t));
  active() = t;
}

const char* name_of(Target t) {
  constexpr const char* names[] = {"portable", "avx2", "avx512"};
  return names[static_cast<int>(t)];
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown CPU";
}

}  // namespace hinoki
