// An ordered queue of device work. Opaque here; always null on the CPU, where work is done when the call returns.
#pragma once

namespace hinoki {

struct Stream {
  void* handle = nullptr;
};

}  // namespace hinoki
