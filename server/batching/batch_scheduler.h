// BatchScheduler: runs a BatchQueue on a thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "server/batching/batch_cost.h"
#include "server/batching/batch_queue.h"
#include "server/batching/task.h"
#include "server/batching/work_thread.h"

namespace bitlm {

// Hears what the scheduler does, for metrics. Called from scheduler and request threads.
class BatchObserver {
 public:
  virtual ~BatchObserver() = default;
  // Called with the scheduler's lock held, so that the last value told is the true one: must be
  // quick and not call the scheduler.
  virtual void OnQueueTokens(int64_t tokens) = 0;
  // A batch of so many rows begins; how long each task waited that runs for the first time.
  virtual void OnBatch(int64_t rows, const std::vector<absl::Duration>& first_waits) = 0;
  // A task ended before it was computed, `steps` of it in vain; `steps` 0: it never ran.
  virtual void OnGivenUp(int64_t steps) = 0;
};

// Tells the time; injected so that tests own it.
using Clock = std::function<absl::Time()>;

// Owns the queue and one thread that executes its batches, one at a time: the executor spreads a
// batch over the cores. While more is due, another thread completes the tasks of a batch, so that
// the engine does not wait for their answers to be written. Thread-safe.
class BatchScheduler {
 public:
  // `observer` may be null; it outlives the scheduler. Without `clock`, deadlines are read by the
  // wall clock, which is theirs, and StalledFor by one that nobody sets.
  BatchScheduler(const BatchQueueOptions& options, BatchObserver* observer, Clock clock = nullptr);
  // Stops as Stop does.
  ~BatchScheduler();
  BatchScheduler(const BatchScheduler&) = delete;
  BatchScheduler& operator=(const BatchScheduler&) = delete;

  // Queues a task that has steps to compute. OK: the scheduler owns the task and will complete it
  // once, perhaps before this returns. Otherwise the task is not touched: DEADLINE_EXCEEDED when
  // its deadline has passed, RESOURCE_EXHAUSTED when the queue is full, INVALID_ARGUMENT when the
  // task is larger than the queue, UNAVAILABLE while draining. Never blocks.
  absl::Status Schedule(std::shared_ptr<Task> task);

  // Whether a task of about so many tokens would be taken, told before anything is spent on it.
  // Errors: UNAVAILABLE, RESOURCE_EXHAUSTED as Schedule; OK while half of the queue is free, as an
  // estimate may be far too high.
  absl::Status CheckRoom(int64_t tokens) const;

  // Gives a task up: if it is not in the running batch it completes now, in this thread, with
  // CANCELLED, else when that ends. No effect on a task that is not here.
  void Cancel(const std::shared_ptr<Task>& task);

  // From now on Schedule answers UNAVAILABLE. What is queued runs on, without delay.
  void Drain();
  // Takes tasks again after Drain. No effect after Stop.
  void Resume();
  // Waits until no task is here, or `timeout` is over (false).
  bool WaitUntilIdle(absl::Duration timeout);
  // Drains, completes what is queued with UNAVAILABLE, lets the running batch end, and joins the
  // thread. Idempotent.
  void Stop();

  // How long tasks have been here without any batch beginning or ending; 0 while there are none. A
  // busy engine keeps this as short as a batch, one that hangs does not. Never blocks.
  absl::Duration StalledFor() const;

  int64_t queued_tokens() const;
  // About how long what is queued will take, from the rate at which the queue drained lately.
  absl::Duration EstimatedWait() const;

 private:
  // How tasks end that are not computed.
  enum class GivenUp { kCancelled, kExpired, kStopped };

  void Run();
  void Execute(const Batch& batch);
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !executing_ && completing_ == 0 && queue_.empty();
  }
  // A batch begins or ends, or the first task comes.
  void NoteProgress() { progress_.store(absl::ToUnixNanos(progress_clock_())); }
  // Completes tasks that have left the queue.
  void Complete(std::vector<BatchQueue::Ended> ended, GivenUp reason);
  // Learns from a batch of `rows` that took `time` and after which tasks with `tokens` left the
  // queue.
  void Learn(int64_t rows, absl::Duration time, int64_t tokens)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReportQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (observer_ != nullptr) observer_->OnQueueTokens(queue_.queued_tokens());
  }

  BatchObserver* observer_;
  Clock clock_;
  Clock progress_clock_;
  const int64_t max_queue_tokens_;
  const absl::Duration delay_;  // While not draining.
  mutable Mutex mutex_;
  CondVar work_;
  CondVar idle_;
  BatchQueue queue_ ABSL_GUARDED_BY(mutex_);
  BatchCost cost_ ABSL_GUARDED_BY(mutex_);
  // Of recent batches, with geometric weights: time, tokens that left the queue.
  absl::Duration recent_time_ ABSL_GUARDED_BY(mutex_);
  double recent_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  bool executing_ ABSL_GUARDED_BY(mutex_) = false;
  int completing_ ABSL_GUARDED_BY(mutex_) = 0;  // Batches, on completer_.
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // For StalledFor, which has to work while a thread hangs with the mutex held.
  std::atomic<int64_t> progress_ = 0;  // Nanoseconds, by progress_clock_.
  std::atomic<bool> busy_ = false;
  std::thread thread_;
  std::optional<WorkThread> completer_;  // Until Stop.
};

}  // namespace bitlm
