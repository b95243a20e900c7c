#include "server/batching/batch_scheduler.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"

namespace bitlm {
namespace {

const char kDraining[] = "the server is shutting down";

absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

BatchScheduler::BatchScheduler(const BatchQueueOptions& options, BatchObserver* observer,
                               Clock clock)
    : observer_(observer),
      clock_(clock ? clock : absl::Now),
      progress_clock_(clock ? clock : SteadyNow),
      max_queue_tokens_(options.max_queue_tokens),
      delay_(options.max_queue_delay),
      queue_(options),
      completer_(std::in_place, "bitlm-complete") {
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
  if (!busy_) {
    NoteProgress();
    busy_ = true;
  }
  ReportQueue();
  work_.NotifyOne();
  return absl::OkStatus();
}

absl::Status BatchScheduler::CheckRoom(int64_t tokens) const {
  MutexLock lock(mutex_);
  if (draining_) return absl::UnavailableError(kDraining);
  const int64_t room = max_queue_tokens_ - queue_.queued_tokens();
  if (room >= std::min(tokens, max_queue_tokens_ / 2)) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat(
      "queue full: %d tokens in it, about %d more would exceed max_queue_tokens (%d)",
      queue_.queued_tokens(), tokens, max_queue_tokens_));
}

void BatchScheduler::Cancel(const std::shared_ptr<Task>& task) {
  std::vector<BatchQueue::Ended> ended;
  {
    MutexLock lock(mutex_);
    std::optional<BatchQueue::Ended> removed = queue_.Remove(task.get());
    if (!removed.has_value()) return;
    ended.push_back(*std::move(removed));
    busy_ = executing_ || !queue_.empty();
    ReportQueue();
    idle_.NotifyAll();
  }
  Complete(std::move(ended), GivenUp::kCancelled);
}

void BatchScheduler::Complete(std::vector<BatchQueue::Ended> ended, GivenUp reason) {
  for (const BatchQueue::Ended& end : ended) {
    if (end.complete) {
      end.task->Complete(absl::OkStatus());
      continue;
    }
    if (observer_ != nullptr) observer_->OnGivenUp(end.steps);
    switch (reason) {
      case GivenUp::kCancelled:
        end.task->Complete(absl::CancelledError("cancelled by the client"));
        break;
      case GivenUp::kExpired:
        end.task->Complete(absl::DeadlineExceededError(
            end.steps == 0 ? "the deadline passed while the request waited"
                           : "the deadline passed while the request was computed"));
        break;
      case GivenUp::kStopped:
        end.task->Complete(absl::UnavailableError(kDraining));
        break;
    }
  }
}

void BatchScheduler::Drain() {
  MutexLock lock(mutex_);
  draining_ = true;
  queue_.SetDelay(absl::ZeroDuration());  // Nothing will come to wait for.
  work_.NotifyAll();
}

void BatchScheduler::Resume() {
  MutexLock lock(mutex_);
  if (stopping_) return;
  draining_ = false;
  queue_.SetDelay(delay_);
}

absl::Duration BatchScheduler::StalledFor() const {
  if (!busy_) return absl::ZeroDuration();
  return std::max(absl::ZeroDuration(), progress_clock_() - absl::FromUnixNanos(progress_));
}

bool BatchScheduler::WaitUntilIdle(absl::Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  MutexLock lock(mutex_);
  while (!Idle()) {
    if (!idle_.WaitUntil(mutex_, deadline)) return Idle();
  }
  return true;
}

void BatchScheduler::Stop() {
  std::vector<BatchQueue::Ended> abandoned;
  {
    MutexLock lock(mutex_);
    draining_ = true;
    stopping_ = true;
    abandoned = queue_.TakeAll();
    ReportQueue();
    work_.NotifyAll();
  }
  Complete(std::move(abandoned), GivenUp::kStopped);
  if (thread_.joinable()) thread_.join();
  completer_.reset();
}

int64_t BatchScheduler::queued_tokens() const {
  MutexLock lock(mutex_);
  return queue_.queued_tokens();
}

absl::Duration BatchScheduler::EstimatedWait() const {
  MutexLock lock(mutex_);
  constexpr absl::Duration kTokenTime = absl::Microseconds(50);  // Before anything is known.
  const absl::Duration time = recent_tokens_ > 0 ? recent_time_ / recent_tokens_ : kTokenTime;
  return time * queue_.queued_tokens();
}

void BatchScheduler::Learn(int64_t rows, absl::Duration time, int64_t tokens) {
  constexpr double kKept = 0.95;
  recent_time_ = kKept * recent_time_ + time;
  recent_tokens_ = kKept * recent_tokens_ + static_cast<double>(tokens);
  cost_.Learn(rows, time);
}

void BatchScheduler::Run() {
  while (true) {
    std::vector<BatchQueue::Ended> expired;
    std::optional<Batch> batch;
    {
      MutexLock lock(mutex_);
      while (true) {
        const absl::Time now = clock_();
        queue_.SetBatchTime(cost_.Estimate(queue_.ReadyRows()));
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
      if (!expired.empty()) ReportQueue();
    }
    Complete(std::move(expired), GivenUp::kExpired);
    if (batch.has_value()) Execute(*batch);
    // Idle means completed: executing_ covers the completions too.
    MutexLock lock(mutex_);
    executing_ = false;
    busy_ = !queue_.empty();
  }
}

void BatchScheduler::Execute(const Batch& batch) {
  if (observer_ != nullptr) observer_->OnBatch(batch.rows, batch.first_waits);
  const absl::Time start = clock_();
  NoteProgress();
  batch.executor->Execute(batch.slices);
  const absl::Time end = clock_();
  const absl::Duration time = end - start;
  NoteProgress();
  std::vector<BatchQueue::Ended> ended;
  GivenUp reason = GivenUp::kCancelled;
  bool elsewhere = false;
  {
    MutexLock lock(mutex_);
    const int64_t tokens = queue_.queued_tokens();
    ended = queue_.Finish();
    Learn(batch.rows, time, tokens - queue_.queued_tokens());
    if (!ended.empty()) ReportQueue();
    if (stopping_) reason = GivenUp::kStopped;
    elsewhere = !ended.empty() && !queue_.empty();
    if (elsewhere) ++completing_;
  }
  if (!elsewhere) {
    Complete(std::move(ended), reason);
    return;
  }
  completer_->Add([this, ended = std::move(ended), reason]() mutable {
    Complete(std::move(ended), reason);
    MutexLock lock(mutex_);
    --completing_;
    idle_.NotifyAll();
  });
}

}  // namespace bitlm
