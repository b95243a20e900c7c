// ThreadPool: splits one loop over a fixed set of threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "engine/base/mutex.h"

namespace bitlm {

// Runs loops on `threads` threads, the calling one included. Which thread runs which index never
// changes a result: callers give each index its own outputs. Thread-safe: concurrent ParallelFor
// calls run one after the other.
class ThreadPool {
 public:
  // threads >= 1; 1 starts no thread and runs every loop in the caller.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(i) once for every i in [0, count), on any thread and in any order, and returns when
  // all have returned. `body` must not call ParallelFor of the same pool, nor throw, which ends the
  // process. Allocates nothing.
  void ParallelFor(size_t count, absl::FunctionRef<void(size_t)> body);

 private:
  struct Loop {
    const absl::FunctionRef<void(size_t)>* body = nullptr;
    size_t count = 0;
    size_t next = 0;
    size_t done = 0;
  };
  void Work();
  // Waits a short time, without the mutex, until `counter` is not `old`. A loop is often followed
  // by the next within microseconds, and waking a thread that sleeps takes some ten.
  void Spin(const std::atomic<uint64_t>& counter, uint64_t old)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes indexes of the current loop until none is left.
  void RunCurrentLoop() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex caller_mutex_;  // One loop at a time.
  Mutex mutex_;
  CondVar work_ready_;
  CondVar loop_done_;
  Loop loop_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> begun_ = 0;     // Loops; changed under the mutex.
  std::atomic<uint64_t> finished_ = 0;  // Likewise.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> workers_;
};

}  // namespace bitlm
