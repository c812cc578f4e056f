// Starting a kernel on the emulator, and the order its blocks and threads run in.
#pragma once
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>

#include "core/base/stream.h"
#include "kernels/simt/vector_types.h"

namespace hinoki::simt {

constexpr bool kEmulated = true;

struct Launch {
  const void* kernel;
  dim3 grid, block;
  size_t shared_bytes;
  void (*body)(void* params);
  void* params;
  size_t params_bytes;
  Stream stream = {};
};

// Runs every thread of every block; throws Error naming kernel, block, thread and source lines if one does what it
// must not. Launches are one after the other, whatever their streams.
void run_grid(const Launch& launch);

// Schedule 0 runs blocks and threads in order, 1 in reverse; any other shuffles the blocks, and the threads anew at
// each barrier. Unless fixed (here, or by HINOKI_SCHEDULE in the environment), launches differ, by their number.
void fix_schedule(uint32_t schedule);
void rotate_schedules();

// The value of shared_limit(), for tests of smaller GPUs: at most 227 KiB, which it is at the start.
void set_shared_limit(size_t bytes);

// Fibers resumed so far, for measurements.
uint64_t fiber_switches();

// Starts a kernel; throws Error if it cannot start or goes wrong. A grid without blocks is no work.
template <class... P>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
            std::type_identity_t<P>... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  struct Params {
    void (*kernel)(P...);
    std::tuple<std::remove_const_t<P>...> args;
  } params{kernel, {args...}};
  run_grid({.kernel = reinterpret_cast<const void*>(kernel),
            .grid = grid,
            .block = block,
            .shared_bytes = shared_bytes,
            .body =
                [](void* p) {
                  auto& call = *static_cast<Params*>(p);
                  std::apply(call.kernel, call.args);
                },
            .params = &params,
            .params_bytes = sizeof params,
            .stream = stream});
}

}  // namespace hinoki::simt
