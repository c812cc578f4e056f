// Ranks meet by the unique id. A message is copied when both sides have come, by whoever comes second; the n-th that a
// rank sends to a peer is the n-th that the peer receives from it. Until then it is work that its stream waits for.
//
// Stricter than the library: messages of two sizes are an error at both sides, where NCCL hangs or spoils memory; and a
// communicator says in_progress once after it was made and after each group, and refuses the next one until it was
// asked, so that nobody gets away with not asking.
#include "kernels/simt/nccl.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "kernels/simt/device_memory.h"
#include "kernels/simt/queue.h"

namespace hinoki::simt {
namespace {

struct Group : Work {
  int left = 0;  // messages
};

struct Message {
  nccl::Comm* comm;
  void* data;
  size_t bytes;
  std::shared_ptr<Group> group;
};

// Those of one unique id.
struct Hub {
  explicit Hub(int ranks) : ranks(ranks) {}
  const int ranks;
  int joined = 0;
  std::map<std::pair<int, int>, std::deque<Message>> sent, awaited;  // from, to
};

}  // namespace
}  // namespace hinoki::simt

struct hinoki::nccl::Comm {
  std::shared_ptr<simt::Hub> hub;
  int rank;
  Result error = success;
  bool settling = false;                                // says in_progress once
  std::vector<std::shared_ptr<simt::Work>> begun = {};  // perhaps done
  bool ready() const { return hub->joined == hub->ranks && error == success && !settling; }
};

namespace hinoki::simt {
namespace {

using nccl::Comm;
using nccl::Result;

std::mutex mutex;  // of all hubs and communicators
std::map<std::string, std::shared_ptr<Hub>> hubs;
int communicators = 0;

struct Call {
  bool sends;
  int peer;
  Comm* comm;
  void* data;
  size_t bytes;
  void* stream;
};
thread_local int depth = 0;  // of groups
thread_local std::vector<Call> calls;
thread_local const char* last_error = "";

void finish_one(Group& group) {
  if (--group.left == 0) group.done = true;
}

void match(std::deque<Message>& sent, std::deque<Message>& awaited) {
  while (!sent.empty() && !awaited.empty()) {
    const Message from = sent.front(), to = awaited.front();
    sent.pop_front();
    awaited.pop_front();
    if (from.bytes != to.bytes) {
      from.comm->error = to.comm->error = Result::invalid_usage;
      continue;  // and the groups never end
    }
    const DeviceAccess access;
    device_holds(from.data, from.bytes, "ncclSend");
    device_writes(to.data, to.bytes, "ncclRecv");
    std::memmove(to.data, from.data, from.bytes);
    finish_one(*from.group);
    finish_one(*to.group);
  }
}

void begin(const std::vector<Call>& all) {
  for (const Call& call : all) {  // first, so that a fault is the caller's own
    const DeviceAccess access;
    call.sends ? device_reads(call.data, call.bytes, "ncclSend") : device_holds(call.data, call.bytes, "ncclRecv");
  }
  std::map<void*, std::shared_ptr<Group>> groups;  // of each stream
  for (const Call& call : all) {
    auto& group = groups[call.stream];
    if (!group) group = std::make_shared<Group>();
    ++group->left;
  }
  for (const auto& [stream, group] : groups) add_work({stream}, group);
  for (const Call& call : all) {
    Hub& hub = *call.comm->hub;
    const std::pair<int, int> way =
        call.sends ? std::pair(call.comm->rank, call.peer) : std::pair(call.peer, call.comm->rank);
    (call.sends ? hub.sent : hub.awaited)[way].push_back({call.comm, call.data, call.bytes, groups[call.stream]});
    match(hub.sent[way], hub.awaited[way]);
    call.comm->settling = true;
    std::erase_if(call.comm->begun, [](const auto& work) { return work->done.load(); });
    call.comm->begun.push_back(groups[call.stream]);
  }
}

Result get_version(int* version) { return *version = 0, Result::success; }

std::string first_of_id() { return say("twin of process ", getpid(), ", "); }

Result get_unique_id(nccl::UniqueId* id) {
  static int64_t ids = 0;
  const std::lock_guard lock(mutex);
  *id = {};
  std::snprintf(id->internal, sizeof id->internal, "%s%ld", first_of_id().c_str(), long(++ids));
  return Result::success;
}

Result comm_init_rank_config(Comm** comm, int ranks, nccl::UniqueId id, int rank, nccl::Config* config) {
  const std::lock_guard lock(mutex);
  if (comm == nullptr || config == nullptr || config->magic != 0xcafebeef || config->blocking != 0 || rank < 0 ||
      rank >= ranks)
    return Result::invalid_argument;
  if (!std::string(id.internal).starts_with(first_of_id())) {
    last_error = "ranks of the emulated GPU are threads of one process; train.between_gpus = \"host\" serves others";
    return Result::invalid_usage;
  }
  auto& hub = hubs[id.internal];
  if (!hub) hub = std::make_shared<Hub>(ranks);
  if (hub->ranks != ranks || hub->joined == ranks) return Result::invalid_usage;
  *comm = new Comm{.hub = hub, .rank = rank, .settling = true};
  ++communicators;
  if (++hub->joined == ranks) hubs.erase(id.internal);
  return Result::in_progress;
}

Result comm_get_async_error(Comm* comm, Result* error) {
  const std::lock_guard lock(mutex);
  const bool wait = comm->hub->joined < comm->hub->ranks || comm->settling;
  comm->settling = false;
  *error = comm->error != Result::success ? comm->error : wait ? Result::in_progress : Result::success;
  return Result::success;
}

Result comm_finalize(Comm* comm) {
  const std::lock_guard lock(mutex);
  for (const auto* messages : {&comm->hub->sent, &comm->hub->awaited})
    for (const auto& [way, queue] : *messages)
      for (const Message& m : queue)
        if (m.comm == comm) return Result::invalid_usage;  // the library would wait here
  comm->settling = true;
  return Result::in_progress;
}

// What this rank has begun ends, undone, and its peers are not told.
Result comm_abort(Comm* comm) {
  const std::lock_guard lock(mutex);
  for (auto* messages : {&comm->hub->sent, &comm->hub->awaited})
    for (auto& [way, queue] : *messages) std::erase_if(queue, [comm](const Message& m) { return m.comm == comm; });
  for (const auto& work : comm->begun) work->done = true;
  delete comm;
  --communicators;
  return Result::success;
}

const char* get_error_string(Result result) {
  switch (result) {
    case Result::success:
      return "no error";
    case Result::invalid_argument:
      return "invalid argument";
    case Result::invalid_usage:
      return "invalid usage";
    case Result::in_progress:
      return "in progress";
    default:
      return "an error of the library";
  }
}

const char* get_last_error(Comm*) { return last_error; }

Result group_start() { return ++depth, Result::success; }

Result group_end() {
  if (depth == 0) return Result::invalid_usage;
  if (--depth > 0) return Result::success;
  const std::lock_guard lock(mutex);
  const std::vector<Call> all = std::exchange(calls, {});
  for (const Call& call : all)
    if (!call.comm->ready()) return Result::invalid_usage;
  begin(all);
  return all.empty() ? Result::success : Result::in_progress;
}

Result add(const Call& call, nccl::DataType type) {
  if (call.comm == nullptr || type != nccl::bytes || call.peer < 0 || call.peer >= call.comm->hub->ranks)
    return Result::invalid_argument;
  group_start();
  calls.push_back(call);
  return group_end();
}

Result send(const void* data, size_t count, nccl::DataType type, int peer, Comm* comm, void* stream) {
  return add({true, peer, comm, const_cast<void*>(data), count, stream}, type);
}

Result recv(void* data, size_t count, nccl::DataType type, int peer, Comm* comm, void* stream) {
  return add({false, peer, comm, data, count, stream}, type);
}

constexpr nccl::Functions kTwins{.get_version = get_version,
                                 .get_unique_id = get_unique_id,
                                 .comm_init_rank_config = comm_init_rank_config,
                                 .comm_finalize = comm_finalize,
                                 .comm_destroy = comm_abort,  // of what is left nothing is under way
                                 .comm_abort = comm_abort,
                                 .comm_get_async_error = comm_get_async_error,
                                 .get_error_string = get_error_string,
                                 .get_last_error = get_last_error,
                                 .group_start = group_start,
                                 .group_end = group_end,
                                 .send = send,
                                 .recv = recv};

const bool ready = (nccl::twins = &kTwins, true);

}  // namespace

int nccl_communicators() {
  const std::lock_guard lock(mutex);
  return communicators;
}

}  // namespace hinoki::simt
