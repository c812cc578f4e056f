#include "train/fleet_trials.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "train/run_lock.h"

namespace hinoki {
namespace {

constexpr double kMostSkew = 1;          // seconds: times in logs and of files are compared by people and scripts
constexpr double kLeastBandwidth = 5e7;  // bytes a second: half of what a network of 1 Gbit/s gives
constexpr double kLongestTrip = 5e-3;    // seconds: a step waits for a handful of them
constexpr int64_t kReduced = 16 << 20;   // floats

double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string in_milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f ms", seconds < 1e-2 ? 2 : 0, 1e3 * seconds);
  return text;
}

// Every rank writes a word of its own, and reads those of all others once they are sure to be there.
Finding try_folder(Communicator& ranks, const std::string& folder) {
  const std::string token = broadcast(ranks, "token", std::to_string(wall_clock()));
  const auto word_of = [&](int r) { return say(token, " ", r); };
  const auto path_of = [&](int r) { return say(folder, "/hinoki-doctor-", token, "-", r); };
  std::string missed;
  const auto attempt = [&](const std::function<void()>& act) {
    try {
      act();
    } catch (const Error& e) {
      missed = say(": ", e.what());
    }
  };
  attempt([&] { write_file_durably(path_of(ranks.rank()), word_of(ranks.rank())); });
  barrier(ranks, "writing words");
  for (int r = 0; r < ranks.size() && !missed.starts_with(':'); ++r)
    attempt([&] {
      if (!is_file(path_of(r)) || read_file(path_of(r), 256) != word_of(r)) missed += say(" ", r);
    });
  const std::vector<std::string> all = gather(ranks, "words read", missed);
  remove_file(path_of(ranks.rank()));
  for (size_t r = 0; r < all.size(); ++r)
    if (!all[r].empty())
      return {false, "shared folder",
              all[r][0] == ':' ? say("rank ", r, all[r])
                               : say(folder, ": rank ", r, " does not see what", all[r], " wrote"),
              "all hosts must mount the same folder there; runs and corpora lie in it"};
  return {true, "shared folder", folder + ": every rank reads what the others write", ""};
}

// The lock of a run must hold on all hosts, or two jobs could write into one run.
Finding try_lock(Communicator& ranks, const std::string& folder) {
  const std::string path = say(folder, "/hinoki-doctor-", broadcast(ranks, "token", std::to_string(wall_clock())));
  std::unique_ptr<RunLock> lock;
  bool broken = false;
  together(ranks, "a lock", [&] {
    if (!ranks.first()) return;
    make_directory(path);
    lock = std::make_unique<RunLock>(path);
  });
  if (!ranks.first()) {
    try {
      const RunLock second(path);
      broken = true;
    } catch (const Error& e) {
      broken = e.code != Exit::usage;  // that it is in use is what we want to hear
    }
  }
  const std::vector<char> all = gather_values(ranks, "a second lock", char(broken));
  lock.reset();
  if (ranks.first()) remove_tree(path);
  const auto who = std::find(all.begin(), all.end(), 1);
  return {who == all.end(), "locks",
          who == all.end() ? "a run that one host has locked is locked for all"
                           : say("rank ", who - all.begin(), " can lock what rank 0 has locked"),
          "mount the folder with locks (NFS 4, or without nolock)"};
}

double time_round_trip(Communicator& ranks) {
  constexpr int kTrips = 50;
  barrier(ranks, "round trip");
  const double start = steady_seconds();
  for (int i = 0; i < kTrips; ++i) barrier(ranks, "round trip");
  return (steady_seconds() - start) / kTrips;
}

}  // namespace

std::vector<double> clock_offsets(Communicator& ranks) {
  constexpr int kRounds = 15;
  std::vector<std::vector<double>> seen(size_t(ranks.size()));
  for (int i = 0; i < kRounds; ++i) {
    barrier(ranks, "clocks");  // after it all are within a message's time of each other
    const std::vector<double> now = gather_values(ranks, "clocks", wall_clock());
    for (size_t r = 0; r < now.size(); ++r) seen[r].push_back(now[r] - now[0]);
  }
  std::vector<double> offsets;
  for (auto& of_rank : seen) {
    std::nth_element(of_rank.begin(), of_rank.begin() + kRounds / 2, of_rank.end());
    offsets.push_back(of_rank[kRounds / 2]);
  }
  return offsets;
}

double time_all_reduce(Communicator& ranks, int64_t count) {
  const int64_t n = ranks.size(), part = (count + n - 1) / n;
  std::vector<float> mine(size_t(part * n)), received(size_t(part * n));
  const auto piece = [&](std::vector<float>& of, int64_t r) {
    return std::span(of).subspan(size_t(r * part), size_t(part));
  };
  double best = INFINITY;
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::fill(mine.begin(), mine.end(), float(ranks.rank() + 1));
    barrier(ranks, "all-reduce");
    const double start = steady_seconds();
    std::vector<Bytes> send;
    std::vector<MutableBytes> receive;
    for (int r = 0; r < n; ++r) {
      send.push_back(std::as_bytes(piece(mine, r)));
      receive.push_back(std::as_writable_bytes(piece(received, r)));
    }
    ranks.exchange("all-reduce, parts", send, receive);
    const std::span<float> sum = piece(mine, ranks.rank());
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (int r = 0; r < n; ++r)
      for (int64_t i = 0; i < part; ++i) sum[size_t(i)] += received[size_t(r * part + i)];
    const Bytes own = std::as_bytes(sum);
    for (int r = 0; r < n; ++r) {
      send[size_t(r)] = own;
      receive[size_t(r)] = std::as_writable_bytes(piece(mine, r));
    }
    ranks.exchange("all-reduce, sums", send, receive);
    best = std::min(best, steady_seconds() - start);
    const auto wrong = std::find_if(mine.begin(), mine.end(), [&](float x) { return x != float(n * (n + 1) / 2); });
    require(wrong == mine.end(), "the network changes what it carries: a sum of ", n * (n + 1) / 2, " came as ",
            wrong == mine.end() ? 0 : *wrong);
  }
  const std::vector<double> all = gather_values(ranks, "all-reduce, times", best);
  return *std::max_element(all.begin(), all.end());
}

Finding judge_clocks(const std::vector<double>& offsets) {
  const auto by_size = [](double a, double b) { return std::abs(a) < std::abs(b); };
  const auto worst = std::max_element(offsets.begin(), offsets.end(), by_size);
  const bool good = std::abs(*worst) <= kMostSkew;
  return {good, "clocks",
          good ? "within " + in_milliseconds(std::abs(*worst))
               : say("rank ", worst - offsets.begin(), " is ", in_milliseconds(std::abs(*worst)),
                     *worst > 0 ? " ahead of rank 0" : " behind rank 0"),
          "let every host follow a time server (chrony, systemd-timesyncd)"};
}

Finding judge_all_reduce(double seconds, int64_t bytes) {
  char text[96];
  std::snprintf(text, sizeof text, "%lld MiB in %s, %.2f GB/s", (long long)(bytes >> 20),
                in_milliseconds(seconds).c_str(), double(bytes) / seconds / 1e9);
  return {double(bytes) / seconds >= kLeastBandwidth, "all-reduce", text,
          "every step sends the gradients once; if there is a faster network, name it: "
          "OMPI_MCA_btl_tcp_if_include=eth1"};
}

Finding judge_round_trip(double seconds) {
  return {seconds <= kLongestTrip, "round trip", in_milliseconds(seconds),
          "messages take a detour, or the cores are taken by somebody else"};
}

std::vector<Finding> try_together(Communicator& ranks, const std::string& folder) {
  std::vector<Finding> findings;
  findings.push_back(judge_clocks(clock_offsets(ranks)));
  findings.push_back(try_folder(ranks, folder));
  if (findings.back().good) findings.push_back(try_lock(ranks, folder));
  const std::vector<double> trips = gather_values(ranks, "round trips", time_round_trip(ranks));
  findings.push_back(judge_round_trip(*std::max_element(trips.begin(), trips.end())));
  findings.push_back(judge_all_reduce(time_all_reduce(ranks, kReduced), kReduced * int64_t(sizeof(float))));
  return findings;
}

}  // namespace hinoki
