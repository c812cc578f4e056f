// A task that one thread begins and others help to finish. Cores shared with other programs do not run equally fast:
// cut into equal parts, a loop lasts as long as its slowest core takes.
#pragma once
#include <atomic>
#include <cstdint>

#include "core/base/spin.h"

namespace hinoki {

// Rounds of `parts`, then `items`. The items of a round need all its parts; its parts need all items of the round
// before. Whoever works on it claims one ticket after the other, in this order, awaits what that needs, does it and
// says so. A thread only ever waits for tickets before its own, so nobody waits in a circle; but what has been claimed
// must be done, or others wait for ever: nothing may throw from open() or the first claim on.
class SharedTask {
 public:
  struct Ticket {
    enum Kind { none, part, item } kind = none;
    int64_t round = 0, index = 0;
  };

  SharedTask(int64_t rounds, int64_t parts, int64_t items) : rounds_(rounds), parts_(parts), items_(items) {}

  // By the thread that begins, when others may see all that they need.
  void open() { open_.store(true, std::memory_order_release); }
  void await_open() const {
    wait_until([&] { return open_.load(std::memory_order_acquire); });
  }

  // Of kind `none` when all are taken.
  Ticket claim() {
    const int64_t all = parts_ + items_;
    // Looked at first: many threads may come by a task that is done.
    if (next_.load(std::memory_order_relaxed) >= rounds_ * all) return {};
    const int64_t number = next_.fetch_add(1, std::memory_order_relaxed), round = number / all, index = number % all;
    if (round >= rounds_) return {};
    if (index < parts_) return {Ticket::part, round, index};
    return {Ticket::item, round, index - parts_};
  }

  void await(const Ticket& t) const {
    const bool part = t.kind == Ticket::part;
    const std::atomic<int64_t>& done = part ? items_done_ : parts_done_;
    const int64_t needed = part ? t.round * items_ : (t.round + 1) * parts_;
    wait_until([&] { return done.load(std::memory_order_acquire) >= needed; });
  }

  void done(const Ticket& t) {
    (t.kind == Ticket::part ? parts_done_ : items_done_).fetch_add(1, std::memory_order_release);
  }

 private:
  int64_t rounds_, parts_, items_;
  std::atomic<bool> open_{false};
  std::atomic<int64_t> next_{0}, parts_done_{0}, items_done_{0};
};

}  // namespace hinoki
