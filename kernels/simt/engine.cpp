// The scheduler: runs the blocks of a grid one after the other, and the threads of a block until each waits.
#include "kernels/simt/engine.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>

#include "kernels/simt/device_memory.h"
#include "kernels/simt/queue.h"

namespace hinoki::simt {

thread_local constinit Engine* engine = nullptr;

namespace {

template <class T>
T* reserve(size_t count) {
  void* p =
      mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(p != MAP_FAILED, "emulator: no address space for ", count * sizeof(T), " bytes");
  return static_cast<T*>(p);
}

uint64_t next_random(uint64_t& state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 33;
}

struct Schedules {
  bool fixed = false;
  uint32_t next = 0;  // the schedule if fixed, else the number of launches
  // Without a period: a test that launches the same kernels again sees them in other orders.
  uint32_t take() {
    if (fixed) return next;
    uint64_t random = ++next;
    next_random(random);
    const uint64_t kind = next_random(random) % 4;
    return kind < 2 ? uint32_t(kind) : next + 1;
  }
  Schedules() {
    if (const char* text = std::getenv("HINOKI_SCHEDULE")) {
      fixed = true;
      next = uint32_t(std::strtoul(text, nullptr, 10));
    }
  }
};
Schedules& schedules() {
  static Schedules s;
  return s;
}

// The order in which blocks run.
std::vector<uint32_t> block_order(uint32_t count, uint32_t schedule) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  if (schedule == 1) std::reverse(order.begin(), order.end());
  uint64_t random = schedule;
  if (schedule > 1)
    for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[next_random(random) % i]);
  return order;
}

void require_sound(const Launch& l) {
  const uint64_t threads = uint64_t{l.block.x} * l.block.y * l.block.z;
  const auto must = [&](bool holds, auto... parts) {
    require(holds, "kernel ", kernel_name(l.kernel), ": ", parts...);
  };
  if (threads < 1 || threads > kMaxThreads || l.block.z > 64)
    must(false, "a block of (", l.block.x, ",", l.block.y, ",", l.block.z, ") threads; 1 to 1024 are possible");
  const unsigned __int128 blocks = static_cast<unsigned __int128>(l.grid.x) * l.grid.y * l.grid.z;
  if (l.grid.x > 0x7fffffffu || l.grid.y > 65535 || l.grid.z > 65535 || blocks > 0xffffffffu)
    must(false, "a grid of (", l.grid.x, ",", l.grid.y, ",", l.grid.z, ") blocks is too large");
  if (l.shared_bytes > shared_limit())
    must(false, l.shared_bytes, " bytes of dynamic shared memory, of ", shared_limit(), " possible");
}

}  // namespace

uint64_t next_interval() {
  static uint64_t intervals = 0;
  return ++intervals;
}

void fix_schedule(uint32_t schedule) {
  schedules().fixed = true;
  schedules().next = schedule;
}
void rotate_schedules() { schedules().fixed = false; }

Engine::Engine() : shared(reserve<char>(kSharedArena)), shared_cells(reserve<Cell>(kSharedArena)) {
  for (int i = 0; i < kMaxThreads; ++i) threads[i].index = i;
}
Engine::~Engine() {
  munmap(shared, kSharedArena);
  munmap(shared_cells, kSharedArena * sizeof(Cell));
}

void Engine::resume(Thread& thread) {
  self = &thread;
  ++switches;
  hinoki_switch_fiber(&scheduler_, thread.stack);
  self = nullptr;
}

void Engine::suspend(State state) {
  self->state = state;
  hinoki_switch_fiber(&self->stack, scheduler_);
}

void Engine::abandon() {
  for (;;) suspend(State::done);  // the scheduler sees the error and drops the whole block
}

void Engine::thread_main() {
  Engine& e = *engine;
  e.launch->body(e.launch->params);
  Thread& t = *e.self;
  if (!t.copies.empty()) fault("returned with cp.async copies that it never waited for");
  Warp& warp = e.warps[t.index / 32];
  const unsigned me = 1u << (t.index & 31);
  for (unsigned left = warp.waiting; left != 0; left &= left - 1) {
    const Thread& other = e.threads[(t.index & ~31) + std::countr_zero(left)];
    if ((other.mask & me) != 0)
      fault("returned while lane ", other.index & 31, " waits for it at ", other.operation, " (", to_string(other.site),
            ")");
  }
  warp.returned |= me;
  ++e.finished;
  e.abandon();
}

// A new interval: what was written before a barrier is ordered before what comes after.
void Engine::open_interval() {
  interval = next_interval();
  if (schedule_ > 1)
    for (int i = threads_in_block; i > 1; --i) std::swap(order_[i - 1], order_[next_random(random_) % i]);
}

void Engine::start_block(uint32_t number) {
  const dim3 g = launch->grid, b = launch->block;
  block_number = number;
  block = {number % g.x, number / g.x % g.y, number / g.x / g.y};
  threads_in_block = int(b.x * b.y * b.z);
  arrived = finished = variable_count = 0;
  shared_used = kSharedGap;
  static_used = 0;
  warps.fill({});
  random_ = schedule_ * uint64_t{7919} + number;
  for (int i = 0; i < threads_in_block; ++i) {
    order_[i] = uint16_t(schedule_ == 1 ? threads_in_block - 1 - i : i);
    Thread& t = threads[i];
    t.position = {i % b.x, i / b.x % b.y, i / b.x / b.y};
    t.state = State::ready;
    t.operation = "start";
    t.mask = 0;
    t.copies.clear();
    t.group_sizes.clear();
    t.stack = stacks.prepare(i, &thread_main);
  }
  open_interval();
}

void Engine::run_block(uint32_t number) {
  start_block(number);
  while (finished < threads_in_block) {
    bool progress = false;
    for (int i = 0; i < threads_in_block; ++i) {
      Thread& t = threads[order_[i]];
      if (t.state != State::ready) continue;
      progress = true;
      resume(t);
      if (!error.empty()) return;
    }
    if (arrived == threads_in_block) {
      arrived = 0;
      for (int i = 0; i < threads_in_block; ++i) threads[i].state = State::ready;
      open_interval();
    } else if (!progress) {
      error = say("kernel ", kernel_name(launch->kernel), ", block (", block.x, ",", block.y, ",", block.z,
                  "): deadlock:", describe_waiting());
      return;
    }
  }
}

// Neighbours in the same situation share a line.
std::string Engine::describe_waiting() const {
  const auto situation = [&](int i) -> std::string {
    const Thread& t = threads[i];
    if (t.state == State::done) return "returned";
    std::ostringstream text;
    text << "at " << t.operation;
    if (t.state == State::at_meeting) text << " (mask " << std::hex << t.mask << std::dec << ")";
    text << " (" << to_string(t.site) << ")";
    return text.str();
  };
  std::string out;
  for (int i = 0, j = 0; i < threads_in_block; i = j) {
    while (j < threads_in_block && situation(j) == situation(i)) ++j;
    out += say("\n  threads ", i, " to ", j - 1, ": ", situation(i));
  }
  return out;
}

void Engine::run(const Launch& l, uint32_t schedule) {
  launch = &l;
  schedule_ = schedule;
  error.clear();
  quiet = false;
  launch_start = next_interval();
  for (const uint32_t number : block_order(l.grid.x * l.grid.y * l.grid.z, schedule)) {
    run_block(number);
    if (!error.empty()) break;
  }
  self = nullptr;
}

namespace {
Engine& the_engine() {
  static const std::unique_ptr<Engine> e = std::make_unique<Engine>();
  return *e;
}
}  // namespace

void run_grid(const Launch& launch) {
  require_sound(launch);
  require_idle(launch.stream, "a kernel");
  const DeviceAccess one_at_a_time;
  Engine& e = the_engine();
  const uint32_t schedule = schedules().take();
  struct Enter {
    explicit Enter(Engine& e) { engine = &e; }
    ~Enter() { engine = nullptr; }
  };
  {
    const Enter enter(e);
    e.run(launch, schedule);
  }
  require(e.error.empty(), e.error, "\n  (schedule ", schedule, "; HINOKI_SCHEDULE=", schedule, " fixes it)");
}

uint64_t fiber_switches() { return the_engine().switches; }

// What threads ask about themselves.
uint3 thread_index() { return engine->self->position; }
uint3 block_index() { return engine->block; }
dim3 block_size() { return engine->launch->block; }
dim3 grid_size() { return engine->launch->grid; }
int lane() { return engine->self->index & 31; }

}  // namespace hinoki::simt
