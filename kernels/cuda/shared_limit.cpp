// Shared memory of the GPU: how much a block may have, and asking for it.
#include "kernels/cuda/launch_record.h"
#include "kernels/cuda/shared_allowance.h"

namespace hinoki::simt {

size_t shared_limit() {
  static const size_t limit = [] {
    int device = 0, bytes = 0;
    require_launched(cudaGetDevice(&device), {});
    require_launched(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), {});
    return size_t(bytes);
  }();
  return limit;
}

void allow_shared(const Launch& l) {
  static SharedAllowances allowances;
  if (l.shared_bytes == 0) return;  // what is static has been bounded by the compiler
  const auto fixed = [&] {
    cudaFuncAttributes attributes{};
    require_launched(cudaFuncGetAttributes(&attributes, l.kernel), l);
    return attributes.sharedSizeBytes;
  };
  allowances.prepare(l.kernel, l.shared_bytes, fixed, [&](size_t of_kernel, size_t dynamic) {
    require(of_kernel + dynamic <= shared_limit(), "CUDA: ", describe(l), " and ", of_kernel,
            " of static: this GPU gives a block ", shared_limit());
    require_launched(cudaFuncSetAttribute(l.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(dynamic)), l);
  });
}

}  // namespace hinoki::simt
