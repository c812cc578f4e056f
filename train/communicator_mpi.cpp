// What Open MPI does when a peer is lost decides much here. Its shared memory notices nothing. Its TCP transport may
// end the process without a word (ompi_rte_abort), or never return from MPI_Test: so a watchdog stands behind the
// deadline, and after a loss MPI is not called again, not even to finalize.
#include "train/communicator_mpi.h"

#include <mpi.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <utility>

#include "train/patience.h"
#include "train/watchdog.h"

namespace hinoki {
namespace {

constexpr int kTag = 1;
constexpr auto kGrace = std::chrono::seconds(1);     // for the polling loop to find out before the watchdog does
constexpr auto kSilence = std::chrono::seconds(4);   // no call that only looks takes so long
constexpr auto kFarewell = std::chrono::seconds(1);  // the longest that leaving may take

class MpiCommunicator final : public Communicator {
 public:
  static std::unique_ptr<Communicator> join() {
    std::signal(SIGPIPE, SIG_IGN);  // a survivor writes to the socket of a dead peer
    // Not MPI_Init_thread: with locks on, the TCP transport locks itself out when a connection breaks. Exchanges come
    // from several threads, but one at a time, with a mutex between them.
    require(MPI_Init(nullptr, nullptr) == MPI_SUCCESS, "MPI cannot be started");
    int rank = 0, size = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const char* world = std::getenv("OMPI_COMM_WORLD_SIZE");
    require<Exit::usage>(size > 1 || (world && std::string(world) == "1"),
                         "the launcher has started several processes, but MPI sees only this one: start them with the "
                         "mpirun of the MPI library that Hinoki was built with, or `srun --mpi=pmix`");
    return std::unique_ptr<Communicator>(new MpiCommunicator(rank, size));
  }

  ~MpiCommunicator() override {
    current = nullptr;
    if (left_) return;  // MPI_Finalize waits for the others, which never come after a failure
    finalizing_ = true;
    const Watchdog::Watch watch(dog_, "the end of MPI", Clock::now() + deadline(), deadline());
    MPI_Finalize();
  }

  void leave(const Error& why) noexcept override {
    if (std::exchange(left_, true)) return;
    leaving_ = why;
    const Watchdog::Watch watch(dog_, "leaving", Clock::now() + 2 * kFarewell, kSilence);
    const std::string text = char('A' + int(why.code)) + std::string(why.what()).substr(0, kLongestReason - 1);
    std::vector<MPI_Request> requests;
    for (int r = 0; r < size(); ++r)
      if (r != rank())
        MPI_Isend(text.data(), int(text.size()), MPI_CHAR, r, kTag, farewells_, &requests.emplace_back());
    int done = 0;
    Patience patience;
    for (const auto until = Clock::now() + kFarewell; !done && Clock::now() < until; patience.pause())
      if (MPI_Testall(int(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS) return;
  }

  void listen() override {
    if (left_) return;
    const Watchdog::Watch watch(dog_, "listening", Clock::now() + kSilence, kSilence);
    hear_farewells();
  }

  // For calls into MPI that do not return: says what is lost and ends the process.
  [[noreturn]] void end(const std::string& what) {
    if (finalizing_) ::_exit(0);  // all is done and told; another rank may still be writing the last snapshot
    const Error e = left_ ? leaving_ : silence(what, "a peer (the call into MPI did not come back)");
    if (!left_) std::fprintf(stderr, "hinoki: %s\n", e.what());
    if (when_lost_) when_lost_(e);
    ::_exit(int(e.code));
  }

  static inline MpiCommunicator* current = nullptr;

 private:
  static constexpr size_t kLongestReason = 2000;

  MpiCommunicator(int rank, int size) : Communicator(rank, size), dog_([this](const std::string& what) { end(what); }) {
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_dup(MPI_COMM_WORLD, &farewells_);
    current = this;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    hosts_ = gather(*this, "host names", host);
  }

  std::string name(int r) const override {
    return Communicator::name(r) + (size_t(r) < hosts_.size() ? " (" + hosts_[size_t(r)] + ")" : "");
  }

  // One receive and one send for each peer: few large messages, for with many small ones under way the TCP transport
  // takes the loss of a peer worst.
  void carry(const std::string& what, std::span<const Bytes> send, std::span<const MutableBytes> receive) override {
    require(!left_, what, ": this rank has left the others");
    const auto until = Clock::now() + deadline();
    const Watchdog::Watch watch(dog_, what, until + kGrace, kSilence);
    std::vector<MPI_Request> requests;
    std::vector<int> peers;  // of the receives, which stand first
    const auto check = [&](int result, size_t bytes) {
      require<Exit::peer>(result == MPI_SUCCESS && bytes <= INT_MAX, what, ": MPI reports error ", result, " for ",
                          bytes, " bytes");
      dog_.sign_of_life();
    };
    for (int r = 0; r < size(); ++r)
      if (const MutableBytes to = receive[size_t(r)]; r != rank() && !to.empty()) {
        peers.push_back(r);
        check(MPI_Irecv(to.data(), int(to.size()), MPI_BYTE, r, kTag, MPI_COMM_WORLD, &requests.emplace_back()),
              to.size());
      }
    for (int step = 1; step < size(); ++step) {  // each rank begins with another one
      const int r = (rank() + step) % size();
      if (const Bytes from = send[size_t(r)]; !from.empty())
        check(MPI_Isend(from.data(), int(from.size()), MPI_BYTE, r, kTag, MPI_COMM_WORLD, &requests.emplace_back()),
              from.size());
    }
    wait(what, until, requests, peers);
  }

  void wait(const std::string& what, Clock::time_point until, std::vector<MPI_Request>& requests,
            const std::vector<int>& peers) {
    Patience patience;
    while (true) {
      int done = 0;
      const int result = MPI_Testall(int(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
      dog_.sign_of_life();
      if (done && result == MPI_SUCCESS) return;
      hear_farewells();
      if (result != MPI_SUCCESS || Clock::now() >= until) break;
      patience.pause();
    }
    std::vector<int> silent;
    for (size_t i = 0; i < peers.size(); ++i) {
      int done = 0;
      if (MPI_Test(&requests[i], &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done) silent.push_back(peers[i]);
    }
    for (MPI_Request& request : requests)  // what arrives from now on must not be written into memory that is gone
      if (request != MPI_REQUEST_NULL) MPI_Cancel(&request);
    if (silent.empty())
      for (int r = 0; r < size(); ++r)
        if (r != rank()) silent.push_back(r);  // all have spoken; one of them does not take what it is sent
    fail_waiting(what, silent);
  }

  void hear_farewells() {
    int there = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, kTag, farewells_, &there, &status) != MPI_SUCCESS || !there) return;
    char text[kLongestReason + 1] = "";
    if (MPI_Recv(text, kLongestReason, MPI_CHAR, status.MPI_SOURCE, kTag, farewells_, &status) != MPI_SUCCESS) return;
    fail_left(status.MPI_SOURCE, Error(Exit(text[0] - 'A'), text + 1));
  }

  MPI_Comm farewells_ = MPI_COMM_NULL;
  std::vector<std::string> hosts_;
  bool left_ = false;
  std::atomic<bool> finalizing_ = false;
  Error leaving_{Exit::failure, ""};
  Watchdog dog_;  // last: it uses the others
};

const bool ready = (join_mpi = MpiCommunicator::join) != nullptr;

}  // namespace

// The program exports its symbols, so Open MPI's own calls come here, and the reason is told.
extern "C" [[noreturn]] void ompi_rte_abort(int, char*, ...) {
  if (MpiCommunicator::current) MpiCommunicator::current->end("a message; Open MPI gave up the connection");
  ::_exit(int(Exit::peer));
}

}  // namespace hinoki
