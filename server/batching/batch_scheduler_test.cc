#include "server/batching/batch_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "server/batching/fake_task_testing.h"

namespace bitlm {
namespace {

// Holds every batch until the test lets it go.
class GatedExecutor : public FakeExecutor {
 public:
  void Execute(std::span<const Slice> slices) override {
    FakeExecutor::Execute(slices);
    MutexLock lock(mutex_);
    steps_ = 0;
    for (const Slice& slice : slices) steps_ += slice.steps;
    ++started_;
    changed_.NotifyAll();
    while (released_ < started_) changed_.Wait(mutex_);
  }

  // Waits until the n-th batch (from 1) is being executed; returns its number of steps.
  int64_t WaitForBatch(int n) {
    MutexLock lock(mutex_);
    while (started_ < n) changed_.Wait(mutex_);
    return steps_;
  }
  // Lets the first n batches end.
  void Release(int n) {
    MutexLock lock(mutex_);
    released_ = n;
    changed_.NotifyAll();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int started_ = 0;
  int released_ = 0;
  int64_t steps_ = 0;
};

class WaitableTask : public FakeTask {
 public:
  using FakeTask::FakeTask;
  void Complete(absl::Status status) override { result_.set_value(std::move(status)); }
  absl::Status Wait() { return future_.get(); }

 private:
  std::promise<absl::Status> result_;  // Throws if completed twice.
  std::future<absl::Status> future_ = result_.get_future();
};

std::shared_ptr<WaitableTask> MakeTask(Executor* executor, std::vector<int64_t> levels,
                                       absl::Time deadline = absl::InfiniteFuture()) {
  return std::make_shared<WaitableTask>(executor, std::move(levels), deadline);
}

constexpr BatchQueueOptions kSmall = {.max_queue_tokens = 8, .max_batch_rows = 4};
constexpr int kAll = 1000;

TEST(BatchSchedulerTest, RunsWhatWaitedMeanwhileTogether) {
  GatedExecutor executor;
  BatchScheduler scheduler(kSmall, nullptr);
  const auto first = MakeTask(&executor, {1});
  ASSERT_TRUE(scheduler.Schedule(first).ok());
  EXPECT_EQ(executor.WaitForBatch(1), 1);
  const auto second = MakeTask(&executor, {1}), third = MakeTask(&executor, {1});
  ASSERT_TRUE(scheduler.Schedule(second).ok());
  ASSERT_TRUE(scheduler.Schedule(third).ok());
  executor.Release(1);
  EXPECT_EQ(executor.WaitForBatch(2), 2);
  executor.Release(2);
  for (const auto& task : {first, second, third}) EXPECT_TRUE(task->Wait().ok());
}

// Its completion ends when it is told to.
class SlowlyAnsweredTask : public WaitableTask {
 public:
  using WaitableTask::WaitableTask;
  void Complete(absl::Status status) override {
    go_on_.get_future().wait();
    WaitableTask::Complete(std::move(status));
  }
  void GoOn() { go_on_.set_value(); }

 private:
  std::promise<void> go_on_;
};

TEST(BatchSchedulerTest, GoesOnWhileAnswersAreWritten) {
  GatedExecutor executor;
  BatchScheduler scheduler(kSmall, nullptr);
  const auto first = MakeTask(&executor, {1});
  ASSERT_TRUE(scheduler.Schedule(first).ok());
  executor.WaitForBatch(1);
  const auto slow = std::make_shared<SlowlyAnsweredTask>(&executor, std::vector<int64_t>{1});
  const auto longer = MakeTask(&executor, {1, 1, 1});
  ASSERT_TRUE(scheduler.Schedule(slow).ok());
  ASSERT_TRUE(scheduler.Schedule(longer).ok());
  executor.Release(kAll);
  EXPECT_TRUE(longer->Wait().ok());  // Its second and third batch did not wait for the answer.
  EXPECT_FALSE(scheduler.WaitUntilIdle(absl::Milliseconds(1)));
  slow->GoOn();
  EXPECT_TRUE(slow->Wait().ok());
  EXPECT_TRUE(scheduler.WaitUntilIdle(absl::Seconds(60)));
}

TEST(BatchSchedulerTest, TakesTasksAgainAfterADrain) {
  GatedExecutor executor;
  executor.Release(kAll);
  BatchScheduler scheduler(kSmall, nullptr);
  scheduler.Drain();
  EXPECT_EQ(scheduler.Schedule(MakeTask(&executor, {1})).code(), absl::StatusCode::kUnavailable);
  scheduler.Resume();
  const auto task = MakeTask(&executor, {1});
  ASSERT_TRUE(scheduler.Schedule(task).ok());
  EXPECT_TRUE(task->Wait().ok());
  scheduler.Stop();
  scheduler.Resume();  // Too late.
  EXPECT_EQ(scheduler.Schedule(MakeTask(&executor, {1})).code(), absl::StatusCode::kUnavailable);
}

TEST(BatchSchedulerTest, TellsABusyEngineFromOneThatHangs) {
  std::atomic<int64_t> seconds = 100;
  GatedExecutor executor;
  BatchScheduler scheduler(kSmall, nullptr, [&] { return absl::FromUnixSeconds(seconds); });
  seconds = 200;
  EXPECT_EQ(scheduler.StalledFor(), absl::ZeroDuration());  // Nothing to do is no hang.
  const auto task = MakeTask(&executor, {1, 1});
  ASSERT_TRUE(scheduler.Schedule(task).ok());
  executor.WaitForBatch(1);
  seconds = 230;
  EXPECT_EQ(scheduler.StalledFor(), absl::Seconds(30));
  executor.Release(1);
  executor.WaitForBatch(2);
  EXPECT_EQ(scheduler.StalledFor(), absl::ZeroDuration());
  seconds = 240;
  EXPECT_EQ(scheduler.StalledFor(), absl::Seconds(10));
  executor.Release(kAll);
  EXPECT_TRUE(task->Wait().ok());
  EXPECT_TRUE(scheduler.WaitUntilIdle(absl::Seconds(60)));
  seconds = 300;
  EXPECT_EQ(scheduler.StalledFor(), absl::ZeroDuration());
}

TEST(BatchSchedulerTest, AnswersQueueFullAndRecovers) {
  GatedExecutor executor;
  BatchScheduler scheduler(kSmall, nullptr);
  const auto filler = MakeTask(&executor, {4, 4});
  ASSERT_TRUE(scheduler.Schedule(filler).ok());
  executor.WaitForBatch(1);
  EXPECT_EQ(scheduler.Schedule(MakeTask(&executor, {1})).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_GT(scheduler.EstimatedWait(), absl::ZeroDuration());
  EXPECT_EQ(scheduler.CheckRoom(1).code(), absl::StatusCode::kResourceExhausted);
  executor.Release(kAll);
  EXPECT_TRUE(filler->Wait().ok());
  EXPECT_TRUE(scheduler.CheckRoom(1).ok());
  EXPECT_TRUE(scheduler.CheckRoom(1000000).ok());  // Estimates may be wrong.
  EXPECT_TRUE(scheduler.Schedule(MakeTask(&executor, {1})).ok());
  scheduler.Drain();
  EXPECT_EQ(scheduler.CheckRoom(1).code(), absl::StatusCode::kUnavailable);
}

// What observers hear.
class RecordingObserver : public BatchObserver {
 public:
  void OnQueueTokens(int64_t tokens) override { queue_tokens = tokens; }
  void OnBatch(int64_t rows, const std::vector<absl::Duration>&) override { batch_rows += rows; }
  void OnGivenUp(int64_t steps) override {
    ++given_up;
    wasted += steps;
  }
  std::atomic<int64_t> queue_tokens = -1, batch_rows = 0, given_up = 0, wasted = 0;
};

TEST(BatchSchedulerTest, CompletesACancelledTaskAtOnceOrAfterItsStep) {
  RecordingObserver observer;
  GatedExecutor executor;
  BatchScheduler scheduler(kSmall, &observer);
  const auto running = MakeTask(&executor, {2, 4}), waiting = MakeTask(&executor, {1});
  ASSERT_TRUE(scheduler.Schedule(running).ok());
  executor.WaitForBatch(1);
  ASSERT_TRUE(scheduler.Schedule(waiting).ok());
  EXPECT_EQ(observer.queue_tokens, 7);
  scheduler.Cancel(waiting);
  EXPECT_EQ(waiting->Wait().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(observer.queue_tokens, 6);
  EXPECT_EQ(observer.given_up, 1);
  EXPECT_EQ(observer.wasted, 0);
  scheduler.Cancel(running);
  executor.Release(1);  // The second batch never runs.
  EXPECT_EQ(running->Wait().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(scheduler.WaitUntilIdle(absl::Seconds(60)));
  EXPECT_EQ(observer.queue_tokens, 0);
  EXPECT_EQ(observer.given_up, 2);
  EXPECT_EQ(observer.wasted, 2);
  EXPECT_EQ(observer.batch_rows, 2);
}

TEST(BatchSchedulerTest, ComputesNothingForDeadTasks) {
  std::atomic<int64_t> now = 0;
  GatedExecutor executor;
  BatchScheduler scheduler(kSmall, nullptr, [&now] { return absl::FromUnixSeconds(now); });
  EXPECT_EQ(scheduler.Schedule(MakeTask(&executor, {1}, absl::FromUnixSeconds(0))).code(),
            absl::StatusCode::kDeadlineExceeded);
  const auto running = MakeTask(&executor, {1}, absl::FromUnixSeconds(5));
  const auto waiting = MakeTask(&executor, {1}, absl::FromUnixSeconds(5));
  ASSERT_TRUE(scheduler.Schedule(running).ok());
  executor.WaitForBatch(1);
  ASSERT_TRUE(scheduler.Schedule(waiting).ok());
  now = 6;
  executor.Release(1);
  EXPECT_TRUE(running->Wait().ok());  // Its work was done.
  EXPECT_EQ(waiting->Wait().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(BatchSchedulerTest, DrainsWhatItAccepted) {
  GatedExecutor executor;
  BatchScheduler scheduler(kSmall, nullptr);
  const auto accepted = MakeTask(&executor, {1});
  ASSERT_TRUE(scheduler.Schedule(accepted).ok());
  scheduler.Drain();
  EXPECT_EQ(scheduler.Schedule(MakeTask(&executor, {1})).code(), absl::StatusCode::kUnavailable);
  executor.WaitForBatch(1);
  EXPECT_FALSE(scheduler.WaitUntilIdle(absl::ZeroDuration()));
  executor.Release(kAll);
  EXPECT_TRUE(scheduler.WaitUntilIdle(absl::Seconds(60)));
  EXPECT_TRUE(accepted->Wait().ok());
}

TEST(BatchSchedulerTest, DrainsWithoutDelay) {
  GatedExecutor executor;
  executor.Release(kAll);
  BatchScheduler scheduler(
      {.max_queue_tokens = 8, .max_batch_rows = 4, .max_queue_delay = absl::Hours(1)}, nullptr);
  const auto waiting = MakeTask(&executor, {1});
  ASSERT_TRUE(scheduler.Schedule(waiting).ok());
  scheduler.Drain();
  EXPECT_TRUE(scheduler.WaitUntilIdle(absl::Seconds(60)));
  EXPECT_TRUE(waiting->Wait().ok());
}

TEST(BatchSchedulerTest, StopCompletesEverythingOnce) {
  GatedExecutor executor;
  BatchScheduler scheduler(kSmall, nullptr);
  const auto running = MakeTask(&executor, {4}), waiting = MakeTask(&executor, {1});
  ASSERT_TRUE(scheduler.Schedule(running).ok());
  executor.WaitForBatch(1);
  ASSERT_TRUE(scheduler.Schedule(waiting).ok());
  std::thread stop([&scheduler] { scheduler.Stop(); });
  EXPECT_EQ(waiting->Wait().code(), absl::StatusCode::kUnavailable);
  executor.Release(kAll);
  EXPECT_TRUE(running->Wait().ok());
  stop.join();
}

// Many threads schedule and cancel at random; every accepted task completes exactly once.
TEST(BatchSchedulerTest, CompletesEveryTaskOnceUnderLoad) {
  FakeExecutor executor;
  BatchScheduler scheduler({.max_queue_tokens = 200, .max_batch_rows = 16}, nullptr);
  std::atomic<int> refused = 0, succeeded = 0, cancelled = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 500; ++i) {
        const auto task =
            MakeTask(&executor, std::vector<int64_t>(static_cast<size_t>(1 + i % 30), 2));
        if (!scheduler.Schedule(task).ok()) {
          ++refused;
          continue;
        }
        if ((i + c) % 3 == 0) scheduler.Cancel(task);
        const absl::Status status = task->Wait();
        ++(status.ok() ? succeeded : cancelled);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(refused + succeeded + cancelled, 2000);
  EXPECT_GT(succeeded, 0);
  EXPECT_EQ(scheduler.queued_tokens(), 0);
}

}  // namespace
}  // namespace bitlm
