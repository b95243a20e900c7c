#include "server/batching/batch_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/batching/fake_task_testing.h"

namespace bitlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class BatchQueueTest : public ::testing::Test {
 protected:
  std::shared_ptr<FakeTask> MakeTask(std::vector<int64_t> levels, Executor* executor = nullptr,
                                     absl::Time deadline = absl::InfiniteFuture(),
                                     int64_t tokens = 0) {
    return std::make_shared<FakeTask>(executor != nullptr ? executor : &a_, std::move(levels),
                                      deadline, tokens);
  }
  std::shared_ptr<FakeTask> Add(BatchQueue& queue, std::vector<int64_t> levels,
                                absl::Duration added = absl::ZeroDuration(),
                                absl::Time deadline = absl::InfiniteFuture(),
                                Executor* executor = nullptr) {
    auto task = MakeTask(std::move(levels), executor, deadline);
    EXPECT_TRUE(queue.Add(task, start_ + added).ok());
    names_.push_back(task.get());
    return task;
  }
  // The next batch, run: "task:steps" of every slice, tasks by the order in which they came.
  std::vector<std::string> Run(BatchQueue& queue, absl::Duration at = absl::ZeroDuration()) {
    const std::optional<Batch> batch = queue.NextBatch(start_ + at);
    if (!batch.has_value()) return {"none"};
    std::vector<std::string> slices;
    for (const Slice& slice : batch->slices) {
      const auto name = std::find(names_.begin(), names_.end(), slice.task);
      slices.push_back(std::to_string(name - names_.begin()) + ":" + std::to_string(slice.steps));
    }
    batch->executor->Execute(batch->slices);
    ended_ = queue.Finish();
    return slices;
  }
  absl::Time At(absl::Duration time) const { return start_ + time; }

  FakeExecutor a_, b_;
  const absl::Time start_ = absl::FromUnixSeconds(1000);
  std::vector<const Task*> names_;
  std::vector<BatchQueue::Ended> ended_;
};

TEST_F(BatchQueueTest, GivesWhatWaitsAtOnceByDefault) {
  BatchQueue queue({.max_queue_tokens = 100, .max_batch_rows = 10});
  EXPECT_EQ(queue.NextDue(), absl::InfiniteFuture());
  EXPECT_FALSE(queue.NextBatch(start_).has_value());
  Add(queue, {2, 3});
  Add(queue, {4}, absl::Seconds(1));
  EXPECT_EQ(queue.queued_tokens(), 9);
  EXPECT_EQ(queue.NextDue(), start_);
  const auto batch = queue.NextBatch(At(absl::Seconds(3)));
  ASSERT_THAT(batch->slices, SizeIs(2));
  EXPECT_EQ(batch->rows, 6);
  EXPECT_THAT(batch->first_waits, ElementsAre(absl::Seconds(3), absl::Seconds(2)));
  batch->executor->Execute(batch->slices);
  const auto ended = queue.Finish();
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(ended[0].task.get(), names_[1]);
  EXPECT_TRUE(ended[0].complete);
  EXPECT_EQ(queue.queued_tokens(), 5);  // A task's tokens are its memory, until it ends.
  EXPECT_THAT(Run(queue), ElementsAre("0:3"));
  ASSERT_THAT(ended_, SizeIs(1));
  EXPECT_EQ(ended_[0].steps, 5);
  EXPECT_EQ(queue.queued_tokens(), 0);
  EXPECT_TRUE(queue.empty());
}

TEST_F(BatchQueueTest, RejectsTaskWhenFull) {
  BatchQueue queue({.max_queue_tokens = 10, .max_batch_rows = 10});
  ASSERT_TRUE(queue.Add(MakeTask({1}, nullptr, absl::InfiniteFuture(), 7), start_).ok());
  const absl::Status full = queue.Add(MakeTask({4}), start_);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("max_queue_tokens (10)"));
  EXPECT_EQ(queue.queued_tokens(), 7);
  EXPECT_TRUE(queue.Add(MakeTask({3}), start_).ok());
}

TEST_F(BatchQueueTest, RejectsForGoodWhatCanNeverFit) {
  BatchQueue queue({.max_queue_tokens = 10, .max_batch_rows = 10});
  EXPECT_EQ(queue.Add(MakeTask({6, 5}), start_).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(BatchQueueTest, TasksJoinAndLeaveBetweenSteps) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 4});
  Add(queue, {1, 1, 1, 1});
  EXPECT_THAT(Run(queue), ElementsAre("0:1"));
  Add(queue, {1, 1});
  EXPECT_THAT(Run(queue), ElementsAre("0:1", "1:1"));
  EXPECT_THAT(Run(queue), ElementsAre("0:1", "1:1"));
  ASSERT_THAT(ended_, SizeIs(1));
  EXPECT_EQ(ended_[0].task.get(), names_[1]);
  EXPECT_THAT(Run(queue), ElementsAre("0:1"));
  EXPECT_TRUE(queue.empty());
}

TEST_F(BatchQueueTest, SharesRowsEvenlyAndGivesAwayWhatOthersLeave) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 10});
  Add(queue, {20});
  Add(queue, {2});
  Add(queue, {20});
  EXPECT_THAT(Run(queue), ElementsAre("0:5", "1:2", "2:3"));
  EXPECT_THAT(Run(queue), ElementsAre("0:5", "2:5"));
}

TEST_F(BatchQueueTest, GoesBySlackThenArrival) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 1});
  queue.SetBatchTime(absl::Milliseconds(10));
  const absl::Time deadline = At(absl::Milliseconds(500));
  Add(queue, {1});                                                  // None: patience.
  Add(queue, {1}, absl::ZeroDuration(), deadline);                  // 490 ms.
  Add(queue, {1, 1, 1}, absl::ZeroDuration(), deadline);            // 470 ms.
  Add(queue, {1}, absl::ZeroDuration(), deadline);                  // 490 ms, later.
  Add(queue, {1}, absl::Seconds(1), At(absl::Milliseconds(1400)));  // Later yet.
  EXPECT_THAT(Run(queue), ElementsAre("2:1"));
  EXPECT_THAT(Run(queue), ElementsAre("2:1"));  // It has 480 ms now.
  EXPECT_THAT(Run(queue), ElementsAre("1:1"));  // All have 490 now: in their order.
  EXPECT_THAT(Run(queue), ElementsAre("2:1"));
  EXPECT_THAT(Run(queue), ElementsAre("3:1"));
  EXPECT_THAT(Run(queue), ElementsAre("4:1"));
  EXPECT_THAT(Run(queue), ElementsAre("0:1"));
}

// With patience of 2 s, whoever comes more than 2 s later comes behind, whatever its deadline.
TEST_F(BatchQueueTest, ImpatientTasksDoNotStarveOthers) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 1});
  queue.SetBatchTime(absl::Milliseconds(10));
  Add(queue, {1});
  absl::Duration time;
  for (int i = 1; i < 1000; ++i, time += absl::Milliseconds(10)) {
    Add(queue, {1}, time, At(time + absl::Milliseconds(20)));
    if (Run(queue, time) == std::vector<std::string>{"0:1"}) break;
  }
  EXPECT_LE(time, absl::Milliseconds(2010));
  EXPECT_GE(time, absl::Milliseconds(1900));
}

TEST_F(BatchQueueTest, LongTasksLetShortOnesPass) {
  BatchQueue queue({.max_queue_tokens = 100000, .max_batch_rows = 1});
  queue.SetBatchTime(absl::Milliseconds(10));
  Add(queue, std::vector<int64_t>(1000, 1));
  absl::Duration time;
  for (int i = 0; i < 10; ++i, time += absl::Milliseconds(10)) Run(queue, time);
  Add(queue, {1, 1}, time);
  // The long one had as much as it waited; now they take turns until the short one is done.
  int batches = 0;
  for (ended_ = {}; ended_.empty() && batches < 10; ++batches) Run(queue, time);
  EXPECT_LE(batches, 4);
}

TEST_F(BatchQueueTest, NeverMixesExecutorsAndStarvesNone) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 8});
  queue.SetBatchTime(absl::Milliseconds(1));
  Add(queue, {1, 1, 1});
  Add(queue, {1, 1}, absl::ZeroDuration(), absl::InfiniteFuture(), &b_);
  Add(queue, {1});
  EXPECT_THAT(Run(queue), ElementsAre("0:1", "2:1"));
  EXPECT_THAT(Run(queue), ElementsAre("1:1"));
  EXPECT_THAT(Run(queue), ElementsAre("0:1"));
  EXPECT_THAT(Run(queue), ElementsAre("1:1"));
  EXPECT_THAT(Run(queue), ElementsAre("0:1"));
}

TEST_F(BatchQueueTest, WaitsForMoreWhenToldTo) {
  BatchQueue queue(
      {.max_queue_tokens = 1000, .max_batch_rows = 2, .max_queue_delay = absl::Milliseconds(10)});
  Add(queue, {1, 1});
  EXPECT_THAT(Run(queue, absl::Milliseconds(9)), ElementsAre("none"));
  EXPECT_EQ(queue.NextDue(), At(absl::Milliseconds(10)));
  EXPECT_THAT(Run(queue, absl::Milliseconds(10)), ElementsAre("0:1"));
  // While a task runs, others join it without delay.
  Add(queue, {1}, absl::Milliseconds(11));
  EXPECT_THAT(Run(queue, absl::Milliseconds(11)), ElementsAre("0:1", "1:1"));
  Add(queue, {1}, absl::Milliseconds(12));
  Add(queue, {1}, absl::Milliseconds(13));
  EXPECT_THAT(Run(queue, absl::Milliseconds(13)), ElementsAre("2:1", "3:1"));  // Full.
}

TEST_F(BatchQueueTest, WaitsNoLongerThanDeadlinesAllow) {
  BatchQueue queue(
      {.max_queue_tokens = 1000, .max_batch_rows = 4, .max_queue_delay = absl::Seconds(10)});
  Add(queue, {1});
  EXPECT_EQ(queue.NextDue(), At(absl::Seconds(10)));
  Add(queue, {1}, absl::Seconds(1), At(absl::Seconds(5)));
  EXPECT_EQ(queue.NextDue(), At(absl::Seconds(3)));
  EXPECT_FALSE(queue.NextBatch(At(absl::Milliseconds(2999))).has_value());
  queue.SetDelay(absl::ZeroDuration());
  EXPECT_EQ(queue.NextDue(), start_);
  EXPECT_TRUE(queue.NextBatch(At(absl::Milliseconds(2999))).has_value());
}

TEST_F(BatchQueueTest, GivesUpExpiredTasksAlsoBetweenTheirSteps) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 1});
  const auto task = Add(queue, {1, 1}, absl::ZeroDuration(), At(absl::Seconds(1)));
  const auto batch = queue.NextBatch(start_);
  ASSERT_TRUE(batch.has_value());
  batch->executor->Execute(batch->slices);
  EXPECT_THAT(queue.Finish(), IsEmpty());
  EXPECT_THAT(queue.TakeExpired(At(absl::Milliseconds(999))), IsEmpty());
  const auto expired = queue.TakeExpired(At(absl::Seconds(1)));
  ASSERT_THAT(expired, SizeIs(1));
  EXPECT_EQ(expired[0].task, task);
  EXPECT_FALSE(expired[0].complete);
  EXPECT_EQ(expired[0].steps, 1);
  EXPECT_EQ(queue.queued_tokens(), 0);
}

// Ten steps of 10 ms, one after the other or all that a batch can hold, take 100 ms; half as much
// again is asked of those that have not begun.
TEST_F(BatchQueueTest, GivesUpWhatCannotKeepItsDeadline) {
  for (const std::vector<int64_t>& levels : {std::vector<int64_t>(10, 1), std::vector{50L}}) {
    BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 5});
    queue.SetBatchTime(absl::Milliseconds(10));
    Add(queue, levels, absl::ZeroDuration(), At(absl::Milliseconds(200)));
    Add(queue, {1});
    EXPECT_THAT(queue.TakeExpired(At(absl::Milliseconds(50))), IsEmpty());
    EXPECT_THAT(queue.TakeExpired(At(absl::Milliseconds(51))), SizeIs(1));
    EXPECT_EQ(queue.size(), 1u);
  }
}

TEST_F(BatchQueueTest, DoesNotBelieveABadEstimateForEver) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 5});
  queue.SetBatchTime(absl::Hours(1));
  Add(queue, {1}, absl::ZeroDuration(), At(absl::Seconds(1)));
  Add(queue, {1}, absl::ZeroDuration(), At(absl::Seconds(1)));
  EXPECT_THAT(queue.TakeExpired(start_), SizeIs(1));
  EXPECT_THAT(queue.TakeExpired(start_), IsEmpty());
  EXPECT_THAT(Run(queue), SizeIs(1));
  Add(queue, {1}, absl::ZeroDuration(), At(absl::Seconds(1)));
  EXPECT_THAT(queue.TakeExpired(At(absl::Milliseconds(10))), SizeIs(1));  // Just learned.
  Add(queue, {1}, absl::ZeroDuration(), At(absl::Seconds(1)));
  EXPECT_THAT(queue.TakeExpired(At(absl::Milliseconds(11))), IsEmpty());
}

TEST_F(BatchQueueTest, RemovesAWaitingTaskAtOnceAndARunningOneAtTheBatchsEnd) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 1});
  const auto waiting = Add(queue, {5});
  EXPECT_EQ(queue.Remove(waiting.get())->task, waiting);
  EXPECT_FALSE(queue.Remove(waiting.get()).has_value());
  const auto running = Add(queue, {1, 1});
  const auto batch = queue.NextBatch(start_);
  ASSERT_TRUE(batch.has_value());
  EXPECT_FALSE(queue.Remove(running.get()).has_value());
  batch->executor->Execute(batch->slices);
  const auto ended = queue.Finish();
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_FALSE(ended[0].complete);
  EXPECT_EQ(ended[0].steps, 1);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.queued_tokens(), 0);
}

TEST_F(BatchQueueTest, TakesAllAtTheEnd) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_rows = 2});
  Add(queue, {1});
  Add(queue, {1, 1});
  const auto waiting = Add(queue, {1}, absl::ZeroDuration(), absl::InfiniteFuture(), &b_);
  const auto batch = queue.NextBatch(start_);
  ASSERT_TRUE(batch.has_value());
  const auto all = queue.TakeAll();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].task, waiting);
  batch->executor->Execute(batch->slices);
  const auto ended = queue.Finish();
  ASSERT_THAT(ended, SizeIs(2));
  EXPECT_TRUE(ended[0].complete);  // Nothing of it was left to run.
  EXPECT_FALSE(ended[1].complete);
  EXPECT_EQ(queue.queued_tokens(), 0);
}

}  // namespace
}  // namespace bitlm
