// Waiting for another thread that is expected to be quick.
#pragma once
#include <thread>

namespace hinoki {

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Whether ready() came true within some ten microseconds, up to 200 where a pause is long.
template <class Ready>
bool spin_until(Ready ready) {
  constexpr int spins = 4000;
  for (int i = 0; i < spins; ++i) {
    if (ready()) return true;
    pause_briefly();
  }
  return false;
}

// Returns when ready() is true. The core is left to others after a while: it may be what the other thread waits for.
template <class Ready>
void wait_until(Ready ready) {
  if (spin_until(ready)) return;
  while (!ready()) std::this_thread::yield();
}

}  // namespace hinoki
