// WorkThread: does work in the order in which it comes, on a thread of its own.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "engine/base/mutex.h"

namespace bitlm {

// Thread-safe. Unbounded: callers bound what they add.
class WorkThread {
 public:
  // `name`: of the thread, 15 bytes at most.
  explicit WorkThread(const char* name);
  // Does what is left, and joins.
  ~WorkThread();
  WorkThread(const WorkThread&) = delete;
  WorkThread& operator=(const WorkThread&) = delete;

  // Never blocks. `work` must not throw.
  void Add(std::function<void()> work);

 private:
  void Run();

  Mutex mutex_;
  CondVar added_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bitlm
