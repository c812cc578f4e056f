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

// What is known of this machine at this number of threads.
class Known {
 public:
  Known()
      : key_(say(cpu_name(), ", ", name_of(active_target()), ", ", pool().threads(), " threads")),
        folder_(cache_folder()),
        path_(folder_ + "/machine.json"),
        cache_(folder_.empty() ? Json::object() : read_cache(path_)) {
    if (!cache_.is_object()) cache_ = Json::object();
    if (!cache_.contains(key_) || !cache_[key_].is_object()) return;
    const Json& entry = cache_[key_];
    if (entry.value("fma_gflops", Json()).is_number() && entry.value("copy_gbs", Json()).is_number())
      best_ = {entry["fma_gflops"].get<double>(), entry["copy_gbs"].get<double>()};
  }

  const MachineFigures& best() const { return best_; }

  void learn(const MachineFigures& figures) {
    if (figures.fma_gflops <= best_.fma_gflops && figures.copy_gbs <= best_.copy_gbs) return;
    best_ = {std::max(best_.fma_gflops, figures.fma_gflops), std::max(best_.copy_gbs, figures.copy_gbs)};
    cache_[key_] = {{"fma_gflops", best_.fma_gflops}, {"copy_gbs", best_.copy_gbs}};
    try {
      if (folder_.empty()) return;
      std::filesystem::create_directories(folder_);
      write_file_durably(path_, cache_.dump(2) + "\n");
    } catch (const std::exception&) {
    }
  }

 private:
  std::string key_, folder_, path_;
  Json cache_;
  MachineFigures best_;
};

}  // namespace

MachineFigures machine_figures(bool measure_again) {
  Known known;
  const int threads = pool().threads();
  if (known.best().fma_gflops > 0 && !measure_again) {
    known.learn({.fma_gflops = measure_fma_peak_gflops(threads, 0.05)});
    return known.best();
  }
  const MachineFigures figures{measure_fma_peak_gflops(threads), measure_copy_gbs(threads)};
  known.learn(figures);
  return figures;
}

double raise_fma_peak() {
  Known known;
  known.learn({.fma_gflops = measure_fma_peak_gflops(pool().threads())});
  return known.best().fma_gflops;
}

}  // namespace hinoki
