#include "train/communicator_nccl.h"

#include <exception>

#include "train/patience.h"

namespace hinoki {
namespace {

constexpr uint64_t kGivenUp = ~uint64_t{0};  // in place of a size
constexpr std::chrono::duration<double> kRollCall{1.5};
constexpr auto kListening = std::chrono::milliseconds(20);
constexpr auto kLongestEnd = std::chrono::seconds(5);  // the longest that a good end may take

bool fine(nccl::Result result) { return result == nccl::success || result == nccl::in_progress; }

nccl::UniqueId id_of(const std::string& text) {
  nccl::UniqueId id;
  require(text.size() == sizeof id, "NCCL: an id of ", text.size(), " bytes");
  std::memcpy(&id, text.data(), sizeof id);
  return id;
}

}  // namespace

NcclCommunicator::NcclCommunicator(Communicator& host, Stream stream)
    : Communicator(host.rank(), host.size()), host_(host), device_(device_table(Device::cuda)), stream_(stream) {
  std::string id;
  together(host, "looking for NCCL", [&] {
    library_ = &nccl::require_library();
    nccl::UniqueId made;
    if (!first()) return;
    check(library_->get_unique_id(&made), "making an id");
    id.assign(reinterpret_cast<const char*>(&made), sizeof made);
  });
  id = broadcast(host, "NCCL's id", id);
  sent_ = device_.make_event();  // makes the rank's GPU the one of this thread, as NCCL wants it
  try {
    connect(id_of(id));
  } catch (...) {
    disconnect();
    device_.release_event(sent_);
    throw;
  }
}

void NcclCommunicator::connect(const nccl::UniqueId& id) {
  nccl::Config config;
  check(library_->comm_init_rank_config(&comm_, size(), id, rank(), &config), "connecting the GPUs");
  settle("connecting the GPUs");
}

NcclCommunicator::~NcclCommunicator() {
  if (whole_ && std::uncaught_exceptions() == 0) finalize();
  disconnect();
  device_.release_event(sent_);
}

// A good end takes all ranks; where something has failed, they do not all come.
void NcclCommunicator::finalize() noexcept {
  if (comm_ == nullptr || !fine(library_->comm_finalize(comm_))) return;
  nccl::Result state = nccl::in_progress;
  Patience patience;
  for (const auto until = Clock::now() + kLongestEnd; state == nccl::in_progress && Clock::now() < until;
       patience.pause())
    if (library_->comm_get_async_error(comm_, &state) != nccl::success) return;
  if (state == nccl::success && fine(library_->comm_destroy(comm_))) comm_ = nullptr;
}

void NcclCommunicator::disconnect() noexcept {
  if (comm_ != nullptr) library_->comm_abort(comm_);
  comm_ = nullptr;
}

void NcclCommunicator::carry(const std::string& what, std::span<const Bytes> send,
                             std::span<const MutableBytes> receive) {
  require(comm_ != nullptr, what, ": this rank's GPU has left the others");
  whole_ = false;
  std::vector<uint64_t> mine;
  for (const Bytes& message : send) mine.push_back(message.size());
  const std::vector<uint64_t> theirs = meet(what, mine);
  for (int r = 0; r < size(); ++r) {
    const uint64_t comes = theirs[size_t(r)], expected = receive[size_t(r)].size();
    if (comes == kGivenUp) throw host_.silence(what, say("the GPUs, as ", name(r), " tells,"));
    require(r == rank() || comes == expected, what, ": ", name(r), " sends ", comes, " bytes, ", expected, " expected");
  }
  device_.record(sent_, stream_);  // makes the rank's GPU the one of this thread, as NCCL wants it
  check(library_->group_start(), what);
  for (int step = 1; step < size(); ++step) {  // each rank begins with another one
    const int to = (rank() + step) % size(), from = (rank() + size() - step) % size();
    if (const Bytes m = send[size_t(to)]; !m.empty())
      check(library_->send(m.data(), m.size(), nccl::bytes, to, comm_, stream_.handle), what);
    if (const MutableBytes m = receive[size_t(from)]; !m.empty())
      check(library_->recv(m.data(), m.size(), nccl::bytes, from, comm_, stream_.handle), what);
  }
  check(library_->group_end(), what);
  settle(what);
  device_.record(sent_, stream_);
  wait(what, [this] { return device_.passed(sent_); });
  whole_ = true;
}

void NcclCommunicator::keep(MutableBytes to, Bytes from) { device_.copy(to.data(), from.data(), to.size(), stream_); }

std::vector<uint64_t> NcclCommunicator::meet(const std::string& what, const std::vector<uint64_t>& mine) {
  std::vector<uint64_t> theirs(mine.size());
  std::vector<Bytes> send;
  std::vector<MutableBytes> receive;
  for (size_t r = 0; r < mine.size(); ++r) {
    send.push_back(std::as_bytes(std::span(&mine[r], 1)));
    receive.push_back(std::as_writable_bytes(std::span(&theirs[r], 1)));
  }
  host_.exchange(what, send, receive);
  return theirs;
}

std::string NcclCommunicator::explain(nccl::Result result) const {
  const char* more = library_->get_last_error(comm_);
  return say("NCCL: ", library_->get_error_string(result), more && *more ? say(" (", more, ")") : "");
}

void NcclCommunicator::check(nccl::Result result, const std::string& what) {
  if (fine(result)) return;
  require<Exit::peer>(result != nccl::remote_error, what, ": ", explain(result));
  fail(what, ": ", explain(result));
}

void NcclCommunicator::settle(const std::string& what) {
  wait(what, [this, &what] {
    nccl::Result state = nccl::in_progress;
    check(library_->comm_get_async_error(comm_, &state), what);
    return state == nccl::success || (judge(state, what), false);
  });
}

// What is wrong with the call is told as it is; of all else the cause may be a peer's.
void NcclCommunicator::judge(nccl::Result state, const std::string& what) {
  if (fine(state)) return;
  const std::string why = explain(state);
  if (state != nccl::invalid_argument && state != nccl::invalid_usage) give_up(what, why);
  disconnect();
  fail(what, ": ", why);
}

void NcclCommunicator::wait(const std::string& what, const std::function<bool()>& done) {
  const auto until = Clock::now() + host_.deadline();
  auto look = Clock::now() + kListening;
  for (Patience patience; !done(); patience.pause()) {
    const auto now = Clock::now();
    if (now >= until) give_up(what, say("not done in ", std::chrono::duration<double>(host_.deadline()).count(), " s"));
    if (now < look) continue;
    look = now + kListening;
    host_.listen();
    nccl::Result state = nccl::success;
    check(library_->comm_get_async_error(comm_, &state), what);
    judge(state, what);
  }
}

// NCCL knows that something does not come, not from whom: so the roll is called among the processes.
void NcclCommunicator::give_up(const std::string& what, const std::string& why) {
  disconnect();
  const std::chrono::duration<double> patience = host_.deadline();
  host_.set_deadline(std::min(kRollCall, patience).count());
  meet(say(what, "; ", why, "; roll call"), std::vector<uint64_t>(size_t(size()), kGivenUp));
  host_.set_deadline(patience.count());
  throw host_.silence(what, say("the GPUs, though all processes answer (", why, ")"));
}

}  // namespace hinoki
