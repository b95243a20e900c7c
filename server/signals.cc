#include "server/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <future>
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

// The first signal after KeepStopSignal.
struct KeptSignal {
  std::atomic<bool> keep = false;
  std::promise<int> number;
};

KeptSignal& Kept() {
  static auto* const kept = new KeptSignal;  // Never destroyed: the thread outlives main.
  return *kept;
}

}  // namespace

void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void ExitOnStopSignals() {
  std::thread([] {
    const sigset_t signals = StopSignals();
    while (true) {
      int number = 0;
      if (sigwait(&signals, &number) != 0) continue;
      if (!Kept().keep.exchange(false)) _exit(128 + number);
      Kept().number.set_value(number);
    }
  }).detach();
}

void KeepStopSignal() { Kept().keep = true; }

int WaitForStopSignal() { return Kept().number.get_future().get(); }

}  // namespace bitlm
