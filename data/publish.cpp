#include "data/publish.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/base/check.h"

namespace hinoki {
namespace {

void sync(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool done = file >= 0 && ::fsync(file) == 0;
  const int error = errno;
  if (file >= 0) ::close(file);
  require<Exit::data>(done, "cannot sync ", path, " to the disk: ", std::strerror(error));
}

}  // namespace

std::filesystem::path temporary_name(const std::filesystem::path& path) { return path.string() + ".tmp"; }

void publish(const std::filesystem::path& path) {
  sync(temporary_name(path));
  std::error_code error;
  std::filesystem::rename(temporary_name(path), path, error);
  require<Exit::data>(!error, "cannot give ", temporary_name(path), " its name: ", error.message());
  sync(path.has_parent_path() ? path.parent_path() : ".");
}

void write_published(const std::filesystem::path& path, std::string_view bytes) {
  {
    std::ofstream out(temporary_name(path), std::ios::binary);
    require<Exit::data>(out.is_open(), "cannot write ", path, ": ", std::strerror(errno));
    out.write(bytes.data(), std::streamsize(bytes.size()));
    out.flush();
    require<Exit::data>(out.good(), "cannot write ", path, ": ", std::strerror(errno));
  }
  publish(path);
}

}  // namespace hinoki
