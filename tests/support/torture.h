// How often the tests that torment snapshots do so: a few times among the others, far more by scripts/torture.sh.
#pragma once
#include <cstdint>
#include <cstdlib>

namespace hinoki::test {

// HINOKI_TORTURE_KILLS=500, say.
inline int64_t torture_count(const char* variable, int64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text && *text ? std::atoll(text) : otherwise;
}

}  // namespace hinoki::test
