#include "server/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <initializer_list>
#include <thread>

#include "engine/base/mutex.h"

namespace bitlm {
namespace {

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  return signals;
}

struct KeptSignals {
  Mutex mutex;
  CondVar changed;
  bool keep ABSL_GUARDED_BY(mutex) = false;
  bool reload ABSL_GUARDED_BY(mutex) = false;
  int stop ABSL_GUARDED_BY(mutex) = 0;  // The number, once there was one.
  bool stop_taken ABSL_GUARDED_BY(mutex) = false;
};

KeptSignals& Kept() {
  static auto* const kept = new KeptSignals;  // Never destroyed: the thread outlives main.
  return *kept;
}

void Take(int number) {
  KeptSignals& kept = Kept();
  MutexLock lock(kept.mutex);
  if (number == SIGHUP) {
    kept.reload = kept.keep;
  } else {
    if (!kept.keep || kept.stop != 0) _exit(128 + number);
    kept.stop = number;
  }
  kept.changed.NotifyAll();
}

}  // namespace

void SetUpSignals() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is this one: those below are open by now.
    if (fcntl(descriptor, F_GETFD) < 0) (void)!open("/dev/null", O_RDWR);
  }
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void HandleSignals() {
  std::thread([] {
    const sigset_t signals = Signals();
    while (true) {
      int number = 0;
      if (sigwait(&signals, &number) == 0) Take(number);
    }
  }).detach();
}

void KeepSignals() {
  KeptSignals& kept = Kept();
  MutexLock lock(kept.mutex);
  kept.keep = true;
}

int NextSignal() {
  KeptSignals& kept = Kept();
  MutexLock lock(kept.mutex);
  while (true) {
    if (kept.stop != 0 && !kept.stop_taken) {
      kept.stop_taken = true;
      return kept.stop;
    }
    if (kept.reload) {
      kept.reload = false;
      return SIGHUP;
    }
    kept.changed.Wait(kept.mutex);
  }
}

}  // namespace bitlm
