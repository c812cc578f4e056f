// Shared variables, carved from an arena with gaps and filled with NaN at the start of each block.
#include <cstring>

#include "kernels/simt/engine.h"
#include "kernels/simt/instructions.h"

namespace hinoki::simt {

void* shared_variable(const void* key, const char* name, size_t bytes, size_t element) {
  Engine& e = *engine;
  for (int i = 0; i < e.variable_count; ++i)
    if (e.variables[i].key == key) return e.variables[i].region.base;
  if (key == nullptr)
    bytes = e.launch->shared_bytes;
  else
    e.static_used += (bytes + 15) / 16 * 16;
  if (e.static_used > kStaticLimit) fault("over ", kStaticLimit, " bytes of static shared memory with ", name);
  if (e.static_used + e.launch->shared_bytes > kSharedLimit) fault("over ", kSharedLimit, " bytes of shared memory");
  if (e.variable_count == kMaxVariables) fault("over ", kMaxVariables, " shared variables");
  char* base = e.shared + e.shared_used;
  std::memset(base, 0xff, bytes);  // NaN in every float format
  e.variables[e.variable_count++] = {key,
                                     name,
                                     {.base = base,
                                      .bytes = bytes,
                                      .shift = unsigned(std::countr_zero(element)),
                                      .birth = e.interval,
                                      .cells = e.shared_cells + e.shared_used}};
  e.shared_used += (bytes + kSharedGap + 127) / 128 * 128;
  return base;
}

}  // namespace hinoki::simt
