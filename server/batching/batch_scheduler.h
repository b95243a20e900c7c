// BatchScheduler: runs a BatchQueue on a thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "server/batching/batch_queue.h"
#include "server/batching/task.h"

namespace bitlm {

// Hears what the scheduler does, for metrics. Called from scheduler and request threads.
class BatchObserver {
 public:
  virtual ~BatchObserver() = default;
  // Called with the scheduler's lock held, so that the last value told is the true one: must be
  // quick and not call the scheduler.
  virtual void OnQueueTokens(int64_t tokens) = 0;
  virtual void OnBatch(int64_t tokens, const std::vector<absl::Duration>& first_waits) = 0;
  virtual void OnExecuted(absl::Duration compute_time) = 0;
};

// Tells the time; injected so that tests own it.
using Clock = std::function<absl::Time()>;

// Owns the queue and one thread that executes its batches, one at a time: the executor spreads a
// batch over the cores. Thread-safe.
class BatchScheduler {
 public:
  // `observer` may be null; it outlives the scheduler.
  BatchScheduler(const BatchQueueOptions& options, BatchObserver* observer,
                 Clock clock = absl::Now);
  // Stops as Stop does.
  ~BatchScheduler();
  BatchScheduler(const BatchScheduler&) = delete;
  BatchScheduler& operator=(const BatchScheduler&) = delete;

  // Queues a task of at least one item. OK: the scheduler owns the task and will complete it once,
  // perhaps before this returns. Otherwise the task is not touched: DEADLINE_EXCEEDED when its
  // deadline has passed, RESOURCE_EXHAUSTED when the queue is full, INVALID_ARGUMENT when the task
  // is larger than the queue, UNAVAILABLE while draining. Never blocks.
  absl::Status Schedule(std::shared_ptr<Task> task);

  // Gives a task up: if none of its items is running it completes now, in this thread, with
  // CANCELLED, else when the running batch ends. No effect on a task that is not here.
  void Cancel(const std::shared_ptr<Task>& task);

  // From now on Schedule answers UNAVAILABLE. What is queued runs on, without delay.
  void Drain();
  // Waits until nothing is queued or running, or `timeout` is over (false).
  bool WaitUntilIdle(absl::Duration timeout);
  // Drains, completes what is queued with UNAVAILABLE, lets the running batch end, and joins the
  // thread. Idempotent.
  void Stop();

  int64_t queued_tokens() const;
  // About how long what is queued will take, from the speed of recent batches.
  absl::Duration EstimatedWait() const;

 private:
  void Run();
  void ReportQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (observer_ != nullptr) observer_->OnQueueTokens(queue_.queued_tokens());
  }

  BatchObserver* observer_;
  Clock clock_;
  mutable Mutex mutex_;
  CondVar work_;
  CondVar idle_;
  BatchQueue queue_ ABSL_GUARDED_BY(mutex_);
  // Time per token, averaged over batches with geometric weights.
  absl::Duration token_time_ ABSL_GUARDED_BY(mutex_) = absl::Microseconds(50);
  bool executing_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bitlm
