// Asking a run to stop: SIGTERM, SIGINT and SIGUSR1 save at the next step and exit with code 75; a second one ends the
// process at once, as if nobody had listened. SIGPIPE is ignored: a run outlives whoever read its messages.
#pragma once

namespace hinoki {

void listen_for_stop();
int stop_signal();                        // the one that asked, or 0
const char* name_of_signal(int number);  // "TERM"
// For tests.
void forget_stop();

}  // namespace hinoki
