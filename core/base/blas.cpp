#include "core/base/blas.h"

#include <dlfcn.h>

#include <limits>

#include "core/base/check.h"

namespace hinoki {
namespace {

constexpr int kRowMajor = 101, kAsIs = 111, kTransposed = 112;  // of the CBLAS interface

using Sgemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
using SetThreads = void (*)(int);
using CoreName = const char* (*)();

struct Library {
  Sgemm sgemm = nullptr;
  SetThreads set_threads = nullptr;
  CoreName core_name = nullptr;
};

GemmLibrary chosen = GemmLibrary::own;

const Library& library() {
  static const Library loaded = [] {
#ifdef HINOKI_OPENBLAS_PATH
    const char* path = HINOKI_OPENBLAS_PATH;
#else
    const char* path = "libopenblas.so.0";
#endif
    // Never closed: its threads outlive any handle.
    void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    require<Exit::usage>(handle != nullptr, "OpenBLAS: ", handle ? "" : dlerror(), "; install libopenblas0-openmp");
    Library l;
    l.sgemm = reinterpret_cast<Sgemm>(dlsym(handle, "cblas_sgemm"));
    l.set_threads = reinterpret_cast<SetThreads>(dlsym(handle, "openblas_set_num_threads"));
    l.core_name = reinterpret_cast<CoreName>(dlsym(handle, "openblas_get_corename"));
    require<Exit::usage>(l.sgemm && l.set_threads, "OpenBLAS: ", path, " has no cblas_sgemm");
    return l;
  }();
  return loaded;
}

int narrow(int64_t size) {
  require(size <= std::numeric_limits<int>::max(), "OpenBLAS: a matrix of size ", size, " is too large for it");
  return static_cast<int>(size);
}

}  // namespace

GemmLibrary gemm_library() { return chosen; }

void set_gemm_library(const std::string& name) {
  require<Exit::usage>(name == "own" || name == "openblas", "gemm library \"", name, "\": expected own or openblas");
  if (name == "openblas") library();
  chosen = name == "own" ? GemmLibrary::own : GemmLibrary::openblas;
}

std::string openblas_core() { return library().core_name ? library().core_name() : "unknown"; }

void openblas_multiply(const BlasProduct& p) {
  library().set_threads(p.threads);
  library().sgemm(kRowMajor, p.a_transposed ? kTransposed : kAsIs, p.b_transposed ? kTransposed : kAsIs, narrow(p.m),
                  narrow(p.n), narrow(p.k), 1, p.a, narrow(p.lda), p.b, narrow(p.ldb), p.beta, p.c, narrow(p.ldc));
}

}  // namespace hinoki
