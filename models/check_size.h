// Bounds of a model's sizes, far above any model and low enough that their products never overflow.
#pragma once
#include <cstdint>

#include "core/base/check.h"

namespace hinoki {

inline constexpr int64_t kMostIds = (int64_t{1} << 31) - 1;  // an id is an int32
inline constexpr int64_t kWidest = int64_t{1} << 20;
inline constexpr int64_t kMostLayers = 1024;

inline void check_size(const char* name, int64_t size, int64_t most, int64_t least = 1) {
  require<Exit::usage>(least <= size && size <= most, "model: ", name, " = ", size, " is not between ", least, " and ",
                       most);
}

}  // namespace hinoki
