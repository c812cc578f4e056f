#include "kernels/simt/queue.h"

#include <mutex>
#include <vector>

#include "core/base/check.h"

namespace hinoki::simt {
namespace {

using Works = std::vector<std::shared_ptr<Work>>;

// A handle leads to what is to come; the null stream has a queue, too.
struct Queue {
  std::mutex mutex;
  Works works;
};
Queue null_queue;

Queue& queue_of(Stream stream) { return stream.handle == nullptr ? null_queue : *static_cast<Queue*>(stream.handle); }
Works& works_of(Event event) { return *static_cast<Works*>(event.handle); }

bool drop_done(Works& works) {
  std::erase_if(works, [](const auto& work) { return work->done.load(); });
  return works.empty();
}

}  // namespace

Stream make_stream() { return {new Queue}; }
void release_stream(Stream stream) noexcept { delete static_cast<Queue*>(stream.handle); }
Event make_event() { return {new Works}; }
void release_event(Event event) noexcept { delete static_cast<Works*>(event.handle); }

void record(Event event, Stream stream) {
  Queue& queue = queue_of(stream);
  const std::lock_guard lock(queue.mutex);
  works_of(event) = queue.works;
}

bool passed(Event event) { return drop_done(works_of(event)); }

void await(Event event) {
  require(passed(event), "emulator: waiting for an event of a message that is under way would have no end");
}

void add_work(Stream stream, std::shared_ptr<Work> work) {
  Queue& queue = queue_of(stream);
  const std::lock_guard lock(queue.mutex);
  drop_done(queue.works);
  queue.works.push_back(std::move(work));
}

void require_idle(Stream stream, const char* who) {
  Queue& queue = queue_of(stream);
  const std::lock_guard lock(queue.mutex);
  require(drop_done(queue.works), "emulator: ", who, " on a stream that still waits for another rank");
}

}  // namespace hinoki::simt
