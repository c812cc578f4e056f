#include "data/publish.h"

#include "core/base/file.h"

namespace hinoki {

std::filesystem::path temporary_name(const std::filesystem::path& path) { return path.string() + ".tmp"; }

void publish(const std::filesystem::path& path) {
  const std::string temporary = temporary_name(path).string();
  sync_file(temporary);
  rename_path(temporary, path.string());
  fsync_directory(parent_of(path.string()));
}

}  // namespace hinoki
