// Races, uninitialised reads and bounds of every access of a kernel, exactly and whatever the schedule: two threads
// race if they touch an element in the same interval between barriers, one of them writes, and not both atomically.
#include "kernels/simt/device_memory.h"
#include "kernels/simt/engine.h"

extern "C" char __executable_start, _end;  // of the program's image, from the linker

namespace hinoki::simt {
namespace {

struct Use {  // one access of the running thread
  const Region* region;
  bool shared;
  const char* name;
  const char* p;
  size_t bytes;
  Access access;
  uintptr_t address;
};

std::string describe(const Use& u) {
  engine->quiet = true;
  static constexpr const char* kVerbs[] = {"read", "write", "atomic"};
  const std::string what = say(kVerbs[int(u.access)], " of ", u.bytes, " bytes "), line = source_line(u.address);
  if (u.region == nullptr) return say(what, "at ", static_cast<const void*>(u.p), " (", line, ")");
  return say(what, "of ", u.shared ? "shared " : "global memory", u.shared ? u.name : "", " at byte ",
             u.p - u.region->base, " of ", u.region->bytes, " (", line, ")");
}

// Is what the stamp tells of ordered before the running thread's next access?
bool ordered(const Engine& e, const Stamp& s, uint64_t since) {
  if (s.interval < since) return true;
  if (s.block != e.block_number) return false;
  if (s.interval != e.interval) return true;
  const unsigned me = unsigned(e.self->index);
  return s.thread == me || (s.thread / 32 == me / 32 && s.warp_interval != (e.warps[me / 32].interval & 0x3fff));
}

[[noreturn]] void fault_race(const Use& u, const Stamp& other, const char* what) {
  const std::string mine = describe(u);
  fault("race: ", mine, " and ", what, " by block ", other.block, ", thread ", unsigned(other.thread), " (",
        source_line(other.address), ") have no barrier between them");
}

// How many have read the element in this interval, the running thread included.
unsigned readers(const Engine& e, const Stamp& read, uint64_t interval) {
  const unsigned me = unsigned(e.self->index);
  const bool current = read.note != kNobody && read.interval == interval && read.block == e.block_number;
  if (!current) return kOneThread;
  if (read.thread / 32 != me / 32) return kSeveralWarps;
  if (read.note == kSeveralWarps) return kSeveralWarps;
  if (read.note == kOneThread && read.thread == me) return kOneThread;
  return read.warp_interval == (e.warps[me / 32].interval & 0x3fff) ? kOneWarp : kOneThread;
}

// May the running thread write what others have read?
bool free_of_readers(const Engine& e, const Stamp& read, uint64_t since) {
  if (read.note == kNobody) return true;
  if (read.interval == e.interval && read.block == e.block_number) {
    if (read.note == kSeveralWarps) return false;
    const unsigned me = unsigned(e.self->index);
    if (read.note == kOneWarp && read.warp_interval == (e.warps[me / 32].interval & 0x3fff)) return false;
  }
  return ordered(e, read, since);
}

void check_element(Engine& e, const Use& u, Cell& c, uint64_t since) {
  const unsigned me = unsigned(e.self->index);
  const bool atomic = u.access == Access::atomic;
  if (u.access != Access::write && c.write.interval < u.region->birth && !u.region->filled)
    fault("uninitialised: ", describe(u));
  if (!(atomic && c.write.note == 1) && !ordered(e, c.write, since))
    fault_race(u, c.write, c.write.note == 1 ? "atomic" : "write");
  Stamp now{e.interval, me, e.warps[me / 32].interval, 0, e.block_number, uint32_t(u.address)};
  if (u.access == Access::read) {
    now.note = readers(e, c.read, e.interval);
    c.read = now;
    return;
  }
  if (!free_of_readers(e, c.read, since)) fault_race(u, c.read, "read");
  now.note = atomic ? 1 : 0;
  c.write = now;
  c.read.note = kNobody;
}

// Shared memory comes back with its variable, device memory with its block.
bool find(const Engine& e, Use& u) {
  u.shared = size_t(u.p - e.shared) < kSharedArena;
  if (!u.shared) {
    u.region = find_device(u.p);
    return u.region != nullptr;
  }
  for (int i = 0; i < e.variable_count; ++i) {
    const Variable& v = e.variables[i];
    if (size_t(u.p - v.region.base) >= v.region.bytes + kSharedGap) continue;
    u.region = &v.region;
    u.name = v.name;
    return true;
  }
  return false;
}

// Tables of the program, and a kernel's own arguments.
bool readable_by_all(const Engine& e, const Use& u) {
  if (u.access == Access::read && u.p >= &__executable_start && u.p < &_end) return true;
  return size_t(u.p - static_cast<const char*>(e.launch->params)) < e.launch->params_bytes;
}

[[noreturn]] void fault_outside(const Use& u) {
  if (u.shared) fault("out of bounds: ", describe(u), ": shared memory outside every variable");
  fault("not device memory: ", describe(u),
        in_device_memory(u.p) ? ": it has been released or was never allocated" : ": a pointer of the host, or none");
}

}  // namespace

void check(const void* p, size_t bytes, Access access, uintptr_t address) {
  Engine* e = engine;
  if (e == nullptr || e->self == nullptr || e->quiet || e->stacks.contain(p)) return;
  Use u{nullptr, false, nullptr, static_cast<const char*>(p), bytes, access, address};
  if (!find(*e, u)) {
    if (!u.shared && readable_by_all(*e, u)) return;
    fault_outside(u);
  }
  const size_t offset = size_t(u.p - u.region->base);
  if (offset > u.region->bytes || bytes > u.region->bytes - offset) fault("out of bounds: ", describe(u));
  if (!u.region->open) open_device(*u.region);
  const uint64_t since = u.shared ? u.region->birth : e->launch_start;  // what came before is not this block's concern
  for (size_t i = offset >> u.region->shift, end = (offset + bytes - 1) >> u.region->shift; i <= end; ++i)
    check_element(*e, u, u.region->cells[i], since);
}

}  // namespace hinoki::simt
