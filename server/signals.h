// The signals of a server: SIGTERM and SIGINT stop it, SIGHUP makes it read its files again.
#pragma once

namespace bitlm {

// Blocks the three signals in this thread and in those that it starts, and ignores SIGPIPE: writing
// to a pipe that nobody reads is an error of that write. Opens what is closed of standard input,
// output and error on /dev/null, so that no socket takes their numbers and gets the log. Call first
// in main.
void SetUpSignals();

// Starts a thread for the blocked signals: SIGTERM and SIGINT end the process at once with status
// 128 + their number, SIGHUP does nothing; until KeepSignals. Call once.
void HandleSignals();

// From now on SIGHUPs and the first SIGTERM or SIGINT are kept for NextSignal; a second one ends
// the process at once as before.
void KeepSignals();

// Waits for a kept signal and returns its number. SIGHUPs that come together count as one.
int NextSignal();

}  // namespace bitlm
