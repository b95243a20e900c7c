#include "server/batching/batch_scheduler.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace bitlm {
namespace {

const char kDraining[] = "the server is shutting down";

}  // namespace

BatchScheduler::BatchScheduler(const BatchQueueOptions& options, BatchObserver* observer,
                               Clock clock)
    : observer_(observer), clock_(std::move(clock)), queue_(options) {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "bitlm-batch");
}

BatchScheduler::~BatchScheduler() { Stop(); }

absl::Status BatchScheduler::Schedule(std::shared_ptr<Task> task) {
  MutexLock lock(mutex_);
  if (draining_) return absl::UnavailableError(kDraining);
  const absl::Time now = clock_();
  if (task->deadline() <= now) {
    return absl::DeadlineExceededError("the deadline passed before the request was queued");
  }
  if (absl::Status status = queue_.Add(std::move(task), now); !status.ok()) return status;
  ReportQueue();
  work_.NotifyOne();
  return absl::OkStatus();
}

void BatchScheduler::Cancel(const std::shared_ptr<Task>& task) {
  {
    MutexLock lock(mutex_);
    const bool removed = queue_.Remove(task.get());
    ReportQueue();  // The rest of a running task has left the queue too.
    if (!removed) return;
    idle_.NotifyAll();
  }
  task->Complete(absl::CancelledError("cancelled by the client"));
}

void BatchScheduler::Drain() {
  MutexLock lock(mutex_);
  draining_ = true;
  queue_.EndDelay();  // Nothing will come to wait for.
  work_.NotifyAll();
}

bool BatchScheduler::WaitUntilIdle(absl::Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  MutexLock lock(mutex_);
  while (executing_ || !queue_.empty()) {
    if (!idle_.WaitUntil(mutex_, deadline)) return !executing_ && queue_.empty();
  }
  return true;
}

void BatchScheduler::Stop() {
  std::vector<std::shared_ptr<Task>> abandoned;
  {
    MutexLock lock(mutex_);
    draining_ = true;
    stopping_ = true;
    abandoned = queue_.TakeAll();
    ReportQueue();
    work_.NotifyAll();
  }
  for (const auto& task : abandoned) task->Complete(absl::UnavailableError(kDraining));
  if (thread_.joinable()) thread_.join();
}

int64_t BatchScheduler::queued_tokens() const {
  MutexLock lock(mutex_);
  return queue_.queued_tokens();
}

absl::Duration BatchScheduler::EstimatedWait() const {
  MutexLock lock(mutex_);
  return token_time_ * queue_.queued_tokens();
}

void BatchScheduler::Run() {
  while (true) {
    std::vector<std::shared_ptr<Task>> expired;
    std::optional<Batch> batch;
    {
      MutexLock lock(mutex_);
      while (true) {
        const absl::Time now = clock_();
        expired = queue_.TakeExpired(now);
        batch = queue_.NextBatch(now);
        if (stopping_ || batch.has_value() || !expired.empty()) break;
        idle_.NotifyAll();
        const absl::Duration wait = queue_.NextDue() - now;
        if (wait == absl::InfiniteDuration()) {
          work_.Wait(mutex_);
        } else {
          work_.WaitUntil(mutex_,
                          std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(wait));
        }
      }
      if (!batch.has_value() && expired.empty()) return;  // Stopping, and nothing is left.
      executing_ = true;
      ReportQueue();
    }
    for (const auto& task : expired) {
      task->Complete(absl::DeadlineExceededError("the deadline passed while the request waited"));
    }
    absl::Duration compute_time;
    if (batch.has_value()) {
      if (observer_ != nullptr) observer_->OnBatch(batch->tokens, batch->first_waits);
      const absl::Time start = clock_();
      batch->executor->Execute(batch->slices);
      compute_time = clock_() - start;
      if (observer_ != nullptr) observer_->OnExecuted(compute_time);
    }
    std::vector<BatchQueue::Finished> finished;
    bool stopped = false;
    {
      MutexLock lock(mutex_);
      if (batch.has_value()) {
        finished = queue_.Finish();
        token_time_ = 0.9 * token_time_ + 0.1 * (compute_time / batch->tokens);
      }
      stopped = stopping_;
    }
    for (const BatchQueue::Finished& done : finished) {
      done.task->Complete(done.complete ? absl::OkStatus()
                          : stopped     ? absl::UnavailableError(kDraining)
                                        : absl::CancelledError("cancelled by the client"));
    }
    // Idle means completed: executing_ covers the completions too.
    MutexLock lock(mutex_);
    executing_ = false;
  }
}

}  // namespace bitlm
