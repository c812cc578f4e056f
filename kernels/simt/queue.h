// The emulator's streams. Copies and kernels are done when their call returns; only what waits for another rank (the
// twin of NCCL) is still to come after it, and the streams remember that.
#pragma once
#include <atomic>
#include <memory>

#include "core/base/stream.h"

namespace hinoki::simt {

// Something that a stream has begun. It may end in any thread.
struct Work {
  std::atomic<bool> done = false;
};

Stream make_stream();
void release_stream(Stream stream) noexcept;
Event make_event();
void release_event(Event event) noexcept;
void record(Event event, Stream stream);
bool passed(Event event);
void await(Event event);  // refused where it would wait: nobody would ever look at a deadline

void add_work(Stream stream, std::shared_ptr<Work> work);
// What the hardware would do later the emulator cannot, so it refuses: wait for an event before it.
void require_idle(Stream stream, const char* who);

}  // namespace hinoki::simt
