#include "train/signals.h"

#include <csignal>
#include <cstring>
#include <initializer_list>

namespace hinoki {
namespace {

volatile std::sig_atomic_t asked = 0;

void on_signal(int number) {
  asked = number;
  for (const int n : {SIGTERM, SIGINT, SIGUSR1}) std::signal(n, SIG_DFL);
}

}  // namespace

void listen_for_stop() {
  asked = 0;
  for (const int n : {SIGTERM, SIGINT, SIGUSR1}) std::signal(n, on_signal);
  std::signal(SIGPIPE, SIG_IGN);
}

bool stop_requested() { return asked != 0; }
const char* stop_signal() { return asked ? sigabbrev_np(int(asked)) : "none"; }
void forget_stop() { asked = 0; }

}  // namespace hinoki
