#include "train/machine.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/parallel.h"
#include "train/machine_peak.h"

namespace hinoki {
namespace {

std::string cache_folder() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg) return std::string(xdg) + "/hinoki";
  if (const char* home = std::getenv("HOME"); home && *home) return std::string(home) + "/.cache/hinoki";
  return "";
}

Json read_cache(const std::string& path) {
  try {
    if (is_file(path)) return parse_json(read_file(path, 1 << 20), path);
  } catch (const Error&) {  // a damaged cache is no cache
  }
  return Json::object();
}

}  // namespace

MachineFigures machine_figures(bool measure_again) {
  const int threads = pool().threads();
  const std::string key = say(cpu_name(), ", ", name_of(active_target()), ", ", threads, " threads");
  const std::string folder = cache_folder(), path = folder + "/machine.json";
  Json cache = folder.empty() ? Json::object() : read_cache(path);
  if (!cache.is_object()) cache = Json::object();
  MachineFigures best;
  if (cache.contains(key) && cache[key].is_object()) {
    const Json& known = cache[key];
    if (known.value("fma_gflops", Json()).is_number() && known.value("copy_gbs", Json()).is_number())
      best = {known["fma_gflops"].get<double>(), known["copy_gbs"].get<double>()};
    if (best.fma_gflops > 0 && !measure_again) return best;
  }
  const MachineFigures figures{measure_fma_peak_gflops(threads), measure_copy_gbs(threads)};
  best = {std::max(best.fma_gflops, figures.fma_gflops), std::max(best.copy_gbs, figures.copy_gbs)};
  // Other load only ever lowers a figure, so the cache keeps the best.
  cache[key] = {{"fma_gflops", best.fma_gflops}, {"copy_gbs", best.copy_gbs}};
  try {
    if (!folder.empty()) {
      std::filesystem::create_directories(folder);
      write_file_durably(path, cache.dump(2) + "\n");
    }
  } catch (const std::exception&) {
  }
  return figures;
}

}  // namespace hinoki
