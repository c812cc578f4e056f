#include "core/base/backend.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "core/base/check.h"
#include "core/base/device.h"

namespace hinoki {
namespace {

constexpr const char* kLibrary = "libhinoki_cuda.so";
constexpr const char* kOrCpu = "; device = \"cpu\" needs none of it";

std::mutex loading;
const CudaBackend* loaded = nullptr;

// HINOKI_CUDA_LIBRARY, or beside the program, or in the lib folder beside the program's folder.
std::string find_library() {
  if (const char* named = std::getenv("HINOKI_CUDA_LIBRARY"); named && *named) {
    require<Exit::usage>(std::filesystem::exists(named), "CUDA: HINOKI_CUDA_LIBRARY names ", named,
                         ", which is not there");
    return named;
  }
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  for (const auto& path : {folder / kLibrary, folder.parent_path() / "lib" / kLibrary})
    if (std::filesystem::exists(path)) return path;
  fail<Exit::usage>("CUDA: this program was built without it: there is no ", kLibrary, " in ", folder.string(),
                    ". Build with `cmake --preset cuda && cmake --build --preset cuda` where the CUDA toolkit is, or "
                    "name the library in HINOKI_CUDA_LIBRARY",
                    kOrCpu);
}

const CudaBackend& load_backend() {
  const std::string path = find_library();
  // Never closed: the slots point into it. Every symbol is bound now, so that what does not fit is found out here.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  require<Exit::usage>(library != nullptr, "CUDA: cannot load ", path, ": ", library ? "" : dlerror(),
                       ". A library of the CUDA toolkit may be missing, or built with another version of the program",
                       kOrCpu);
  const auto* backend = static_cast<const CudaBackend*>(dlsym(library, "hinoki_cuda_backend"));
  require<Exit::usage>(backend != nullptr, "CUDA: ", path, " is not a backend of this program");
  require<Exit::usage>(std::string(backend->version) == HINOKI_VERSION, "CUDA: ", path, " belongs to version ",
                       backend->version, ", this is ", HINOKI_VERSION, ": build both together");
  return *backend;
}

}  // namespace

void require_cuda(int index) {
  const std::lock_guard lock(loading);
  if (cuda_device != nullptr) return;
  if (loaded == nullptr) loaded = &load_backend();
  cuda_device = loaded->start(index);
}

std::string why_no_cuda(int index) {
  try {
    require_cuda(index);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

const CudaBackend* cuda_backend() { return loaded; }

}  // namespace hinoki
