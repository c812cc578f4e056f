// How to wait for something that only asking tells about.
#pragma once
#include <chrono>
#include <thread>

namespace hinoki {

// Waiting for a peer must not take the core from whoever computes on it: at first the core is only offered, then the
// thread sleeps.
class Patience {
 public:
  void pause() {
    if (++turns_ < 200)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(turns_ < 2000 ? 50 : 500));
  }

 private:
  int turns_ = 0;
};

}  // namespace hinoki
