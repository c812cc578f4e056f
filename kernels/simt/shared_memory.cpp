// Shared variables, carved from an arena with gaps and filled with NaN at the start of each block; and the rule of the
// hardware for how many bytes of them a block may have.
#include <cstring>
#include <utility>

#include "kernels/cuda/shared_allowance.h"
#include "kernels/simt/engine.h"
#include "kernels/simt/instructions.h"

namespace hinoki::simt {
namespace {

size_t limit = kSharedLimit;

// Over 48 KiB are refused unless the dynamic part has been allowed. The hardware knows the static part before the
// launch, and we when the variable that goes too far is met: so that is when the launch is asked what it would have
// allowed.
void require_allowed(Engine& e) {
  static SharedAllowances allowances;
  static std::map<const void*, size_t> allowed;  // the attribute of each kernel
  const size_t dynamic = e.launch->shared_bytes, all = e.static_used + dynamic;
  if (all > limit)
    fault(e.static_used, " bytes of static shared memory and ", dynamic, " of dynamic, of ", limit, " possible");
  if (all <= kUnaskedLimit) return;
  const bool was_quiet = std::exchange(e.quiet, true);
  size_t& attribute = allowed[e.launch->kernel];
  allowances.prepare(
      e.launch->kernel, dynamic, [&] { return e.static_used; }, [&](size_t, size_t bytes) { attribute = bytes; });
  const bool may = dynamic <= attribute;
  e.quiet = was_quiet;
  if (!may)
    fault(e.static_used, " bytes of static shared memory and ", dynamic, " of dynamic are over ", kUnaskedLimit,
          ", which the kernel has not been allowed (kernels/cuda/shared_allowance.h)");
}

}  // namespace

size_t shared_limit() { return limit; }

void set_shared_limit(size_t bytes) {
  require(bytes <= kSharedLimit, "emulator: ", bytes, " bytes of shared memory, of ", kSharedLimit, " possible");
  limit = bytes;
}

void* shared_variable(const void* key, const char* name, size_t bytes, size_t element) {
  Engine& e = *engine;
  for (int i = 0; i < e.variable_count; ++i)
    if (e.variables[i].key == key) return e.variables[i].region.base;
  if (key == nullptr)
    bytes = e.launch->shared_bytes;
  else
    e.static_used += (bytes + 15) / 16 * 16;
  if (e.static_used > kStaticLimit) fault("over ", kStaticLimit, " bytes of static shared memory with ", name);
  require_allowed(e);
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
