// A fresh folder for one test, removed with all it holds.
#pragma once
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "core/base/check.h"

namespace hinoki {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "hinoki-test-XXXXXX").string()) {
    require(::mkdtemp(path_.data()) != nullptr, "cannot create ", path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace hinoki
