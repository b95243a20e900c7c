#include "server/signals.h"

#include <signal.h>
#include <unistd.h>

#include <initializer_list>
#include <thread>

namespace bitlm {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT}) sigaddset(&signals, number);
  return signals;
}

}  // namespace

void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int WaitForStopSignal() {
  const sigset_t signals = StopSignals();
  int number = 0;
  while (sigwait(&signals, &number) != 0) {
  }
  return number;
}

void ExitOnNextStopSignal() {
  std::thread([] { _exit(128 + WaitForStopSignal()); }).detach();
}

}  // namespace bitlm
