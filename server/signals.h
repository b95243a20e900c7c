// Waiting for the signals that stop a server.
#pragma once

namespace bitlm {

// Blocks SIGTERM and SIGINT in this thread and in those that it starts, and ignores SIGPIPE. Call
// first in main.
void BlockStopSignals();

// Waits for SIGTERM or SIGINT and returns its number.
int WaitForStopSignal();

// From now on a further SIGTERM or SIGINT ends the process at once with status 128 + its number.
void ExitOnNextStopSignal();

}  // namespace bitlm
