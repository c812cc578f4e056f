#include "data/codebook.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"
#include "core/base/hash128.h"
#include "data/hdf5.h"
#include "data/publish.h"

namespace hinoki {

std::string Codebook::hash() const {
  Hasher128 hasher;
  for (const std::string* text : {&features, &corpus}) hasher.add(text->c_str(), text->size() + 1);
  for (const int64_t number : {kCodebookVersion, rate, clusters, dim}) hasher.add(&number, sizeof(number));
  hasher.add(centres.data(), centres.size() * sizeof(float));
  return hasher.hex();
}

void write_codebook(const std::filesystem::path& path, const Codebook& c) {
  require(c.clusters >= 1 && c.clusters <= kMostClusters && c.dim >= 1 && c.dim <= kMostDimensions, "a codebook of ",
          c.clusters, " clusters in ", c.dim, " dimensions");
  require(int64_t(c.centres.size()) == c.clusters * c.dim, "a codebook of ", c.clusters, " clusters in ", c.dim,
          " dimensions holds ", c.centres.size(), " numbers");
  Hdf5File file = Hdf5File::create(temporary_name(path));
  {
    Hdf5Dataset centres = file.create_dataset("centres", {.type = DType::f32, .row_shape = {c.dim}, .chunk_rows = 64});
    centres.append(std::span(c.centres));
  }
  file.set("format", "hinoki codebook");
  file.set("version", kCodebookVersion);
  file.set("features", c.features);
  file.set("rate", c.rate);
  file.set("clusters", c.clusters);
  file.set("dim", c.dim);
  file.set("corpus", c.corpus);
  file.set("hash", c.hash());
  file.close();
  publish(path);
}

Codebook read_codebook(const std::filesystem::path& path) {
  require<Exit::data>(std::filesystem::is_regular_file(path), "there is no codebook ", path,
                      "; make it with `hinoki data clusters`");
  const Hdf5File file = Hdf5File::open(path);
  require<Exit::data>(file.text("format") == "hinoki codebook", path, " is not a codebook");
  require<Exit::data>(file.integer("version") == kCodebookVersion, path, " has version ", file.integer("version"),
                      ", this program reads version ", kCodebookVersion, "; make the codebook again");
  Codebook c{.features = file.text("features"),
             .rate = file.integer("rate"),
             .clusters = file.integer("clusters"),
             .dim = file.integer("dim"),
             .corpus = file.text("corpus"),
             .centres = {}};
  const Hdf5Dataset centres = file.dataset("centres");
  const bool fits = c.clusters >= 1 && c.clusters <= kMostClusters && c.dim >= 1 && c.dim <= kMostDimensions &&
                    c.rate >= 1 && centres.type() == DType::f32 && centres.rows() == c.clusters &&
                    centres.row_shape() == std::vector<int64_t>{c.dim};
  require<Exit::data>(fits, path, ": the centres do not fit the attributes; make the codebook again");
  c.centres.resize(size_t(c.clusters * c.dim));
  centres.read(0, std::span(c.centres));
  require<Exit::data>(c.hash() == file.text("hash"), path,
                      " is damaged (hash mismatch); copy it anew, or make it again with `hinoki data clusters`");
  const bool finite = std::all_of(c.centres.begin(), c.centres.end(), [](float v) { return std::isfinite(v); });
  require<Exit::data>(finite, path, ": the centres are not all finite; make the codebook again");
  return c;
}

}  // namespace hinoki
