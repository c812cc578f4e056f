// The emulated multiprocessor: the block that runs, its threads, their shared memory, and what went wrong. Inside the
// runtime only; kernels see launch.h, meeting.h and instructions.h.
//
// Kernel files are instrumented, the runtime is not, and inline functions that both use may be merged by the linker. So
// the runtime calls no standard container while a thread runs, unless it has set `quiet`.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/history.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/meeting.h"

namespace hinoki::simt {

constexpr int kMaxThreads = 1024, kMaxWarps = kMaxThreads / 32;
constexpr size_t kStaticLimit = 48 * 1024, kSharedLimit = 227 * 1024;  // of an sm_90 block
constexpr size_t kUnaskedLimit = 48 * 1024;  // static and dynamic bytes of a kernel that has not been allowed more
constexpr size_t kSharedArena = 2 * kSharedLimit, kSharedGap = 128;  // unused bytes around every shared variable
constexpr int kMaxVariables = 64;

enum class State : uint8_t { ready, at_barrier, at_meeting, done };

struct AsyncCopy {
  void* to;
  const void* from;
  bool valid;
};

struct Thread {
  void* stack = nullptr;
  State state = State::done;
  int index = 0;
  uint3 position{};
  const char* operation = "start";  // what it waits for, and where
  Site site;
  unsigned mask = 0;
  void* argument = nullptr;
  int predicate = 0;
  std::vector<AsyncCopy> copies;    // issued and not yet done, oldest first
  std::vector<size_t> group_sizes;  // of its committed groups; what is left of `copies` is the open one
};

struct Warp {
  unsigned waiting = 0, returned = 0;  // lanes
  uint32_t interval = 0;               // between two __syncwarp
};

struct Variable {
  const void* key;
  const char* name;
  Region region;
};

struct Engine {
  Engine();
  ~Engine();
  Engine(const Engine&) = delete;

  void run(const Launch& launch, uint32_t schedule);
  void suspend(State state);    // of the calling thread, until it is ready again
  [[noreturn]] void abandon();  // the calling thread ends the launch; `error` says why
  int warp_lanes(int first) const { return std::min(32, threads_in_block - first); }
  std::string describe_waiting() const;

  Stacks stacks{kMaxThreads};
  char* shared;        // [kSharedArena]
  Cell* shared_cells;  // one for each byte at most
  std::array<Thread, kMaxThreads> threads;
  std::array<Warp, kMaxWarps> warps;
  std::array<Variable, kMaxVariables> variables;
  int variable_count = 0;
  size_t shared_used = 0, static_used = 0;

  const Launch* launch = nullptr;
  Thread* self = nullptr;  // null while host code runs
  uint3 block{};
  uint32_t block_number = 0;
  int threads_in_block = 0, arrived = 0, first_arrived = 0, finished = 0;
  uint64_t interval = 0;      // between two barriers
  uint64_t launch_start = 0;  // accesses to global memory older than this are ordered before this launch's
  bool quiet = false;         // the checker looks away
  std::string error;
  uint64_t switches = 0;

 private:
  void start_block(uint32_t number);
  void run_block(uint32_t number);
  void resume(Thread& thread);
  void open_interval();
  static void thread_main();

  uint32_t schedule_ = 0;
  uint64_t random_ = 0;
  std::array<uint16_t, kMaxThreads> order_;
  void* scheduler_ = nullptr;  // its stack
};

// The engine whose launch the calling host thread is in; null outside of launches.
extern thread_local constinit Engine* engine;

// Ends the launch with an error at the calling thread.
template <class... Parts>
[[noreturn]] void fault(const Parts&... parts);

size_t shared_limit();  // of a block; kSharedLimit unless a test has set less

std::string location(const Engine& e);  // "kernel, block (0,0,0), thread 3: "
std::string kernel_name(const void* kernel);
std::string source_line(uintptr_t address);
std::string to_string(const Site& site);

template <class... Parts>
void fault(const Parts&... parts) {
  engine->quiet = true;
  engine->error = location(*engine) + say(parts...);
  engine->abandon();
}

}  // namespace hinoki::simt
