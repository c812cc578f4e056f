// NCCL, which carries messages between GPUs: the part of its C interface that we call. Its library is looked for when
// somebody asks for it, so no build needs it and none links it; in an emulated build the twins of kernels/simt/nccl.cpp
// stand here from the start. Where nvcc finds NCCL's header, tests/kernels/cuda/nccl_test.cu holds this against it.
#pragma once
#include <climits>
#include <cstddef>
#include <string>

namespace hinoki::nccl {

constexpr int kOldest = 21400;  // 2.14: the first whose calls need not block

struct Comm;  // ncclComm
struct UniqueId {
  char internal[128];
};

enum Result : int {
  success = 0,
  unhandled_cuda_error = 1,
  system_error = 2,
  internal_error = 3,
  invalid_argument = 4,
  invalid_usage = 5,
  remote_error = 6,
  in_progress = 7
};

enum DataType : int { bytes = 1 };  // ncclUint8

// ncclConfig_t as 2.14 had it; what came later the library fills in, by `version`.
struct Config {
  size_t size = sizeof(Config);
  unsigned magic = 0xcafebeef;
  unsigned version = kOldest;
  int blocking = 0;
  int later = INT_MIN;  // undefined, in NCCL's words
};

// Streams are cudaStream_t. A communicator that does not block answers in_progress and is asked again by
// comm_get_async_error.
struct Functions {
  Result (*get_version)(int* version);
  Result (*get_unique_id)(UniqueId* id);
  Result (*comm_init_rank_config)(Comm** comm, int ranks, UniqueId id, int rank, Config* config);
  Result (*comm_finalize)(Comm* comm);
  Result (*comm_destroy)(Comm* comm);
  Result (*comm_abort)(Comm* comm);
  Result (*comm_get_async_error)(Comm* comm, Result* error);
  const char* (*get_error_string)(Result result);
  const char* (*get_last_error)(Comm* comm);
  Result (*group_start)();
  Result (*group_end)();
  Result (*send)(const void* data, size_t count, DataType type, int peer, Comm* comm, void* stream);
  Result (*recv)(void* data, size_t count, DataType type, int peer, Comm* comm, void* stream);
};

inline const Functions* twins = nullptr;  // of an emulated build

// HINOKI_NCCL_LIBRARY, or the libnccl.so.2 that the loader finds. Throws Error{usage} that says what is missing and how
// to get it. Asking again costs nothing.
const Functions& require_library();
// The same as an answer: its version, "2.28.9"; or what is missing.
struct Presence {
  bool found;
  std::string text;
};
Presence look_for_library();

}  // namespace hinoki::nccl
