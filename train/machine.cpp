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

// What is remembered, by what it is of.
class PeakCache {
 public:
  PeakCache() : folder_(cache_folder()), all_(folder_.empty() ? Json::object() : read_cache(path())) {
    if (!all_.is_object()) all_ = Json::object();
  }

  // A positive number; 0: none is known.
  double number(const std::string& key, const char* name) const {
    if (!all_.contains(key) || !all_[key].is_object()) return 0;
    const Json value = all_[key].value(name, Json());
    return value.is_number() ? std::max(0.0, value.get<double>()) : 0;
  }
  void store(const std::string& key, const Json& entry) {
    all_[key] = entry;
    try {
      if (folder_.empty()) return;
      std::filesystem::create_directories(folder_);
      write_file_durably(path(), all_.dump(2) + "\n");
    } catch (const std::exception&) {
    }
  }

 private:
  std::string path() const { return folder_ + "/machine.json"; }

  std::string folder_;
  Json all_;
};

// What is known of this machine at this number of threads.
class Known {
 public:
  Known() : key_(say(cpu_name(), ", ", name_of(active_target()), ", ", pool().threads(), " threads")) {
    for (const Figure& f : kFigures) best_.*f.value = cache_.number(key_, f.name);
  }

  const MachineFigures& best() const { return best_; }

  void learn(const MachineFigures& figures) {
    bool better = false;
    Json entry;
    for (const Figure& f : kFigures) {
      better |= figures.*f.value > best_.*f.value;
      best_.*f.value = std::max(best_.*f.value, figures.*f.value);
      if (best_.*f.value > 0) entry[f.name] = best_.*f.value;
    }
    if (better) cache_.store(key_, entry);
  }

 private:
  struct Figure {
    const char* name;
    double MachineFigures::*value;
  };
  static constexpr Figure kFigures[] = {{"fma_gflops", &MachineFigures::fma_gflops},
                                        {"copy_gbs", &MachineFigures::copy_gbs},
                                        {"gemm_gflops", &MachineFigures::gemm_gflops}};

  std::string key_;
  PeakCache cache_;
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
  const MachineFigures figures{.fma_gflops = measure_fma_peak_gflops(threads), .copy_gbs = measure_copy_gbs(threads)};
  known.learn(figures);
  return figures;
}

double raise_fma_peak() {
  Known known;
  known.learn({.fma_gflops = measure_fma_peak_gflops(pool().threads())});
  return known.best().fma_gflops;
}

double remember_product(double gflops) {
  Known known;
  known.learn({.gemm_gflops = gflops});
  return known.best().gemm_gflops;
}

double product_peak_gflops(const std::string& gpu, const std::string& precision,
                           const std::function<double()>& measure) {
  PeakCache cache;
  const std::string key = gpu + ", " + precision;
  const double known = cache.number(key, "product_gflops");
  if (known > 0) return known;
  const double measured = measure();
  if (measured > 0) cache.store(key, {{"product_gflops", measured}});
  return measured;
}

}  // namespace hinoki
