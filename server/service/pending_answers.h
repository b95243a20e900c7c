// PendingAnswers: how many calls the scheduler has taken and clients have no answer of yet.
#pragma once

#include <chrono>
#include <cstdint>

#include "absl/time/time.h"
#include "engine/base/mutex.h"

namespace bitlm {

// Thread-safe.
class PendingAnswers {
 public:
  void Begin() {
    MutexLock lock(mutex_);
    ++count_;
  }
  void End() {
    MutexLock lock(mutex_);
    if (--count_ == 0) none_.NotifyAll();
  }
  // Waits until there are none, or `deadline` has passed (false).
  bool WaitUntilNone(absl::Time deadline) {
    const auto end =
        std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(deadline - absl::Now());
    MutexLock lock(mutex_);
    while (count_ > 0) {
      if (!none_.WaitUntil(mutex_, end)) return count_ == 0;
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar none_;
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bitlm
