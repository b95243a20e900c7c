// The signals that stop a server: SIGTERM and SIGINT.
#pragma once

namespace bitlm {

// Blocks SIGTERM and SIGINT in this thread and in those that it starts, and ignores SIGPIPE. Call
// first in main.
void BlockStopSignals();

// Starts a thread for the blocked signals: each ends the process at once with status 128 + its
// number, but the first after KeepStopSignal. Call once.
void ExitOnStopSignals();

// From now on the first signal is kept for WaitForStopSignal.
void KeepStopSignal();

// Waits for the signal that was kept and returns its number. Call once, after KeepStopSignal.
int WaitForStopSignal();

}  // namespace bitlm
