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

int stop_signal() { return asked; }
const char* name_of_signal(int number) {
  const char* name = sigabbrev_np(number);
  return name ? name : "nal";
}
void forget_stop() { asked = 0; }

}  // namespace hinoki
