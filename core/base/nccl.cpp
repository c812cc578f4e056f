#include "core/base/nccl.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include "core/base/check.h"

namespace hinoki::nccl {
namespace {

constexpr const char* kRemedy =
    "; install libnccl2 (NVIDIA's package repository), or name its libnccl.so.2 in HINOKI_NCCL_LIBRARY; "
    "train.between_gpus = \"host\" does without it, and slower";

std::string version_text(int version) { return say(version / 10000, ".", version / 100 % 100, ".", version % 100); }

Functions load_nccl() {
  const char* named = std::getenv("HINOKI_NCCL_LIBRARY");
  const std::string path = named != nullptr && *named != '\0' ? named : "libnccl.so.2";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed
  require<Exit::usage>(library != nullptr, "NCCL: cannot load ", path, ": ", library ? "" : dlerror(), kRemedy);
  Functions f{};
  const auto find = [&]<class F>(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(library, name));
    require<Exit::usage>(function != nullptr, "NCCL: ", path, " has no ", name, ", so it is not NCCL, or older than ",
                         version_text(kOldest), kRemedy);
  };
  find(f.get_version, "ncclGetVersion");
  find(f.get_unique_id, "ncclGetUniqueId");
  find(f.comm_init_rank_config, "ncclCommInitRankConfig");
  find(f.comm_finalize, "ncclCommFinalize");
  find(f.comm_destroy, "ncclCommDestroy");
  find(f.comm_abort, "ncclCommAbort");
  find(f.comm_get_async_error, "ncclCommGetAsyncError");
  find(f.get_error_string, "ncclGetErrorString");
  find(f.get_last_error, "ncclGetLastError");
  find(f.group_start, "ncclGroupStart");
  find(f.group_end, "ncclGroupEnd");
  find(f.send, "ncclSend");
  find(f.recv, "ncclRecv");
  return f;
}

}  // namespace

const Functions& require_library() {
  if (twins != nullptr) return *twins;
  static std::mutex mutex;
  static const Functions* loaded = nullptr;
  const std::lock_guard lock(mutex);
  if (loaded == nullptr) loaded = new Functions(load_nccl());
  return *loaded;
}

Presence look_for_library() {
  try {
    int version = 0;
    const Functions& f = require_library();
    const Result result = f.get_version(&version);
    require<Exit::usage>(result == success, "NCCL: ", f.get_error_string(result));
    return {true, twins != nullptr ? "the emulator's" : version_text(version)};
  } catch (const Error& error) {
    return {false, error.what()};
  }
}

}  // namespace hinoki::nccl
