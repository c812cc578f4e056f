#pragma once
#include <chrono>

namespace hinoki {

// Of a clock that only goes forward, since some moment: what counts is the difference of two.
inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace hinoki
