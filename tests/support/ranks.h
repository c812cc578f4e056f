// Runs a function on several ranks that are threads of the test.
#pragma once
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "core/base/parallel.h"
#include "train/communicator_threads.h"

namespace hinoki::test {

// f(communicator) on each rank, with `threads` for each rank's loops. The error of the lowest rank that fails is thrown
// again when all have ended; a rank that fails tells the others, as the program does.
inline void on_ranks(int ranks, const std::function<void(Communicator&)>& f, int threads = 1, double deadline = 60) {
  ThreadHub hub(ranks);
  std::vector<std::exception_ptr> errors{size_t(ranks)};
  std::vector<std::thread> running;
  for (int r = 0; r < ranks; ++r)
    running.emplace_back([&, r] {
      ThreadCommunicator self(hub, r);
      self.set_deadline(deadline);
      ThreadPool own(threads);
      const UsePool use(own);
      try {
        f(self);
      } catch (const Error& e) {
        errors[size_t(r)] = std::current_exception();
        self.leave(e);
      }
    });
  for (std::thread& t : running) t.join();
  for (const std::exception_ptr& e : errors)
    if (e) std::rethrow_exception(e);
}

}  // namespace hinoki::test
