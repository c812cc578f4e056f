// Barriers and warp meetings: who has arrived, whether they agree, and who goes on.
#include "kernels/simt/meeting.h"

#include <cstring>

#include "kernels/simt/engine.h"

namespace hinoki::simt {
namespace {

bool same_place(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

struct Hex {
  unsigned value;
  friend std::ostream& operator<<(std::ostream& out, Hex h) { return out << std::hex << h.value << std::dec; }
};

// Stricter than the hardware, on purpose: one meeting is one operation at one place.
void require_agreement(const Thread& mine, const Thread& other) {
  if (other.mask == mine.mask && same_place(other.site, mine.site) &&
      (other.operation == mine.operation || std::strcmp(other.operation, mine.operation) == 0))
    return;
  fault("lanes diverge: this one is at ", mine.operation, " with mask ", Hex{mine.mask}, " (", to_string(mine.site),
        "), lane ", other.index & 31, " at ", other.operation, " with mask ", Hex{other.mask}, " (",
        to_string(other.site), ")");
}

}  // namespace

int block_barrier(Vote vote, int predicate, Site site) {
  static constexpr const char* kNames[] = {"__syncthreads", "__syncthreads_count", "__syncthreads_and",
                                           "__syncthreads_or"};
  Engine& e = *engine;
  Thread& t = *e.self;
  t.operation = kNames[int(vote)];
  t.site = site;
  t.predicate = predicate;
  if (e.arrived++ == 0) e.first_arrived = t.index;
  const Thread& first = e.threads[e.first_arrived];
  if (!same_place(first.site, site))
    fault("threads diverge: this one is at ", t.operation, " (", to_string(site), "), thread ", first.index, " at ",
          first.operation, " (", to_string(first.site), ")");
  e.suspend(State::at_barrier);
  if (vote == Vote::none) return 0;
  int sum = 0;
  for (int i = 0; i < e.threads_in_block; ++i) sum += e.threads[i].predicate != 0;
  e.suspend(State::ready);  // nobody may bring a new predicate before all have counted
  return vote == Vote::count ? sum : vote == Vote::all ? sum == e.threads_in_block : sum > 0;
}

void meet(const Meeting& meeting, void* argument, Site site) {
  Engine& e = *engine;
  Thread& t = *e.self;
  const int first = t.index & ~31, lanes = e.warp_lanes(first);
  const unsigned all = lanes == 32 ? ~0u : (1u << lanes) - 1, me = 1u << (t.index & 31);
  const unsigned mask = meeting.mask & all;  // without lanes that the block does not have
  Warp& warp = e.warps[first / 32];
  t.operation = meeting.operation;
  t.site = site;
  t.mask = mask;
  t.argument = argument;
  if ((mask & me) == 0)
    fault(meeting.operation, ": the lane is not in its own mask ", Hex{meeting.mask}, " (", to_string(site), ")");
  if ((warp.returned & mask) != 0)
    fault(meeting.operation, " (", to_string(site), ") waits for lane ", std::countr_zero(warp.returned & mask),
          ", which has returned");
  if ((warp.waiting & mask) != 0) require_agreement(t, e.threads[first + std::countr_zero(warp.waiting & mask)]);
  warp.waiting |= me;
  if ((mask & ~warp.waiting) != 0) return e.suspend(State::at_meeting);

  void* arguments[32] = {};
  for (unsigned left = mask; left != 0; left &= left - 1) {
    const Thread& other = e.threads[first + std::countr_zero(left)];
    require_agreement(t, other);
    arguments[other.index & 31] = other.argument;
  }
  meeting.complete(arguments, mask);
  warp.waiting &= ~mask;
  for (unsigned left = mask; left != 0; left &= left - 1)
    e.threads[first + std::countr_zero(left)].state = State::ready;
  if (meeting.orders_memory && mask == all) ++warp.interval;
}

}  // namespace hinoki::simt
