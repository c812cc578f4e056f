#include "train/product_plans.h"

#include "core/base/log.h"
#include "kernels/gemm.h"

namespace hinoki {

void ProductPlans::record() {
  if (kernels::gemm_plans == nullptr) return;
  for (const std::string& plan : kernels::gemm_plans())
    if (recorded_.insert(plan).second) hinoki::record("  " + plan);
}

}  // namespace hinoki
