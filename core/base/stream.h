// An ordered queue of device work, and a mark in one. Opaque here; always null on the CPU, where work is done when the
// call returns. The null stream of a device is the one that everything runs on that is not told otherwise.
#pragma once

namespace hinoki {

struct Stream {
  void* handle = nullptr;
};

struct Event {
  void* handle = nullptr;
};

}  // namespace hinoki
