#include "server/batching/batch_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bitlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NullExecutor : public Executor {
 public:
  void Execute(std::span<const Slice>) override {}
};

class NullTask : public Task {
 public:
  using Task::Task;
  void Complete(absl::Status) override {}
};

class BatchQueueTest : public ::testing::Test {
 protected:
  std::shared_ptr<Task> MakeTask(std::vector<int64_t> items, Executor* executor = nullptr,
                                 absl::Time deadline = absl::InfiniteFuture(), int64_t extra = 0) {
    return std::make_shared<NullTask>(executor != nullptr ? executor : &a_, std::move(items),
                                      deadline, extra);
  }
  // "task:first+count" of every slice; tasks by their place in `names`.
  static std::vector<std::string> Describe(const std::optional<Batch>& batch,
                                           const std::vector<std::shared_ptr<Task>>& names) {
    std::vector<std::string> slices;
    if (!batch.has_value()) return {"none"};
    for (const Slice& slice : batch->slices) {
      size_t task = 0;
      while (names[task].get() != slice.task) ++task;
      slices.push_back(std::to_string(task) + ":" + std::to_string(slice.first) + "+" +
                       std::to_string(slice.count));
    }
    return slices;
  }

  NullExecutor a_, b_;
  const absl::Time start_ = absl::FromUnixSeconds(1000);
};

TEST_F(BatchQueueTest, GivesWhatWaitsAtOnceByDefault) {
  BatchQueue queue({.max_queue_tokens = 100, .max_batch_tokens = 10});
  EXPECT_EQ(queue.NextDue(), absl::InfiniteFuture());
  EXPECT_FALSE(queue.NextBatch(start_).has_value());
  const auto t0 = MakeTask({2, 3}), t1 = MakeTask({4});
  ASSERT_TRUE(queue.Add(t0, start_).ok());
  ASSERT_TRUE(queue.Add(t1, start_ + absl::Seconds(1)).ok());
  EXPECT_EQ(queue.queued_tokens(), 9);
  EXPECT_EQ(queue.NextDue(), start_);
  const auto batch = queue.NextBatch(start_ + absl::Seconds(3));
  EXPECT_THAT(Describe(batch, {t0, t1}), ElementsAre("0:0+2", "1:0+1"));
  EXPECT_EQ(batch->tokens, 9);
  EXPECT_THAT(batch->first_waits, ElementsAre(absl::Seconds(3), absl::Seconds(2)));
  EXPECT_EQ(queue.queued_tokens(), 0);
  EXPECT_EQ(queue.Finish().size(), 2u);
  EXPECT_TRUE(queue.empty());
}

TEST_F(BatchQueueTest, RejectsTaskWhenFull) {
  BatchQueue queue({.max_queue_tokens = 10, .max_batch_tokens = 10});
  ASSERT_TRUE(queue.Add(MakeTask({7}), start_).ok());
  const absl::Status full = queue.Add(MakeTask({4}), start_);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("max_queue_tokens (10)"));
  EXPECT_EQ(queue.queued_tokens(), 7);
  EXPECT_TRUE(queue.Add(MakeTask({3}), start_).ok());
}

TEST_F(BatchQueueTest, ExtraTokensTakeRoomUntilTheLastItemRuns) {
  BatchQueue queue({.max_queue_tokens = 20, .max_batch_tokens = 4});
  const auto large = MakeTask({3, 3}, nullptr, absl::InfiniteFuture(), 10);
  ASSERT_TRUE(queue.Add(large, start_).ok());
  EXPECT_EQ(queue.queued_tokens(), 16);
  EXPECT_TRUE(absl::IsResourceExhausted(queue.Add(MakeTask({1}, nullptr, start_, 4), start_)));
  EXPECT_TRUE(absl::IsInvalidArgument(queue.Add(MakeTask({1}, nullptr, start_, 20), start_)));
  EXPECT_EQ(queue.NextBatch(start_)->tokens, 3);  // Items only.
  EXPECT_EQ(queue.queued_tokens(), 13);
  queue.Finish();
  EXPECT_EQ(queue.NextBatch(start_)->tokens, 3);
  EXPECT_EQ(queue.queued_tokens(), 0);
  queue.Finish();
  ASSERT_TRUE(queue.Add(large, start_).ok());
  EXPECT_TRUE(queue.Remove(large.get()));
  EXPECT_EQ(queue.queued_tokens(), 0);
}

TEST_F(BatchQueueTest, RejectsForGoodWhatCanNeverFit) {
  BatchQueue queue({.max_queue_tokens = 10, .max_batch_tokens = 10});
  EXPECT_EQ(queue.Add(MakeTask({6, 5}), start_).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(BatchQueueTest, SplitsAHugeTaskAndLetsOthersIn) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_tokens = 4});
  const auto huge = MakeTask(std::vector<int64_t>(6, 2)), small = MakeTask({2});
  const std::vector<std::shared_ptr<Task>> names = {huge, small};
  ASSERT_TRUE(queue.Add(huge, start_).ok());
  EXPECT_THAT(Describe(queue.NextBatch(start_), names), ElementsAre("0:0+2"));
  ASSERT_TRUE(queue.Add(small, start_).ok());  // While the first batch runs.
  EXPECT_THAT(queue.Finish(), IsEmpty());
  EXPECT_THAT(Describe(queue.NextBatch(start_), names), ElementsAre("0:2+1", "1:0+1"));
  EXPECT_EQ(queue.Finish().size(), 1u);
  EXPECT_THAT(Describe(queue.NextBatch(start_), names), ElementsAre("0:3+2"));
  EXPECT_THAT(queue.Finish(), IsEmpty());
  EXPECT_THAT(Describe(queue.NextBatch(start_), names), ElementsAre("0:5+1"));
  const auto finished = queue.Finish();
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_TRUE(finished[0].complete);
}

TEST_F(BatchQueueTest, GivesTheRoomThatOthersLeave) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_tokens = 10});
  const auto big = MakeTask(std::vector<int64_t>(20, 1)), small = MakeTask({1, 1});
  ASSERT_TRUE(queue.Add(big, start_).ok());
  ASSERT_TRUE(queue.Add(small, start_).ok());
  EXPECT_THAT(Describe(queue.NextBatch(start_), {big, small}), ElementsAre("0:0+8", "1:0+2"));
}

TEST_F(BatchQueueTest, TakesTurnsWhenOneItemEachDoesNotFit) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_tokens = 4});
  const auto t0 = MakeTask({3, 3}), t1 = MakeTask({3, 3});
  const std::vector<std::shared_ptr<Task>> names = {t0, t1};
  ASSERT_TRUE(queue.Add(t0, start_).ok());
  ASSERT_TRUE(queue.Add(t1, start_).ok());
  EXPECT_THAT(Describe(queue.NextBatch(start_), names), ElementsAre("0:0+1"));
  queue.Finish();
  EXPECT_THAT(Describe(queue.NextBatch(start_), names), ElementsAre("1:0+1"));
  queue.Finish();
  EXPECT_THAT(Describe(queue.NextBatch(start_), names), ElementsAre("0:1+1"));
}

TEST_F(BatchQueueTest, RunsAnItemLargerThanABatchAlone) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_tokens = 4});
  const auto t0 = MakeTask({9, 1}), t1 = MakeTask({1});
  ASSERT_TRUE(queue.Add(t0, start_).ok());
  ASSERT_TRUE(queue.Add(t1, start_).ok());
  EXPECT_THAT(Describe(queue.NextBatch(start_), {t0, t1}), ElementsAre("0:0+1"));
}

TEST_F(BatchQueueTest, NeverMixesExecutorsAndStarvesNone) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_tokens = 2});
  const auto t0 = MakeTask({1, 1, 1, 1}, &a_), t1 = MakeTask({1}, &b_), t2 = MakeTask({1}, &a_);
  const std::vector<std::shared_ptr<Task>> names = {t0, t1, t2};
  for (const auto& task : names) ASSERT_TRUE(queue.Add(task, start_).ok());
  auto batch = queue.NextBatch(start_);
  EXPECT_EQ(batch->executor, &a_);
  EXPECT_THAT(Describe(batch, names), ElementsAre("0:0+1", "2:0+1"));
  queue.Finish();
  batch = queue.NextBatch(start_);
  EXPECT_EQ(batch->executor, &b_);
  EXPECT_THAT(Describe(batch, names), ElementsAre("1:0+1"));
  queue.Finish();
  EXPECT_THAT(Describe(queue.NextBatch(start_), names), ElementsAre("0:1+2"));
}

TEST_F(BatchQueueTest, WaitsForMoreWhenToldTo) {
  BatchQueue queue(
      {.max_queue_tokens = 1000, .max_batch_tokens = 4, .max_batch_delay = absl::Milliseconds(10)});
  ASSERT_TRUE(queue.Add(MakeTask({1}), start_).ok());
  EXPECT_FALSE(queue.NextBatch(start_ + absl::Milliseconds(9)).has_value());
  EXPECT_EQ(queue.NextDue(), start_ + absl::Milliseconds(10));
  ASSERT_TRUE(queue.Add(MakeTask({3}), start_ + absl::Milliseconds(9)).ok());
  EXPECT_TRUE(queue.NextBatch(start_ + absl::Milliseconds(9)).has_value());  // Full.
}

TEST_F(BatchQueueTest, WaitsNoLongerThanDeadlinesAllow) {
  BatchQueue queue(
      {.max_queue_tokens = 1000, .max_batch_tokens = 4, .max_batch_delay = absl::Seconds(10)});
  ASSERT_TRUE(queue.Add(MakeTask({1}), start_).ok());
  EXPECT_EQ(queue.NextDue(), start_ + absl::Seconds(10));
  ASSERT_TRUE(
      queue.Add(MakeTask({1}, &a_, start_ + absl::Seconds(5)), start_ + absl::Seconds(1)).ok());
  EXPECT_EQ(queue.NextDue(), start_ + absl::Seconds(3));
  EXPECT_FALSE(queue.NextBatch(start_ + absl::Milliseconds(2999)).has_value());
  queue.EndDelay();
  EXPECT_EQ(queue.NextDue(), start_);
  EXPECT_TRUE(queue.NextBatch(start_ + absl::Milliseconds(2999)).has_value());
}

TEST_F(BatchQueueTest, GivesUpExpiredTasksAlsoBetweenTheirChunks) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_tokens = 1});
  const auto task = MakeTask({1, 1}, &a_, start_ + absl::Seconds(1));
  ASSERT_TRUE(queue.Add(task, start_).ok());
  ASSERT_TRUE(queue.NextBatch(start_).has_value());
  EXPECT_THAT(queue.TakeExpired(start_ + absl::Seconds(1)), IsEmpty());  // Running.
  EXPECT_THAT(queue.Finish(), IsEmpty());
  EXPECT_THAT(queue.TakeExpired(start_ + absl::Milliseconds(999)), IsEmpty());
  EXPECT_THAT(queue.TakeExpired(start_ + absl::Seconds(1)), ElementsAre(task));
  EXPECT_EQ(queue.queued_tokens(), 0);
}

TEST_F(BatchQueueTest, RemovesAWaitingTaskAtOnceAndARunningOneAtItsEnd) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_tokens = 1});
  const auto waiting = MakeTask({5}), running = MakeTask({1, 1});
  ASSERT_TRUE(queue.Add(waiting, start_).ok());
  EXPECT_TRUE(queue.Remove(waiting.get()));
  EXPECT_FALSE(queue.Remove(waiting.get()));
  ASSERT_TRUE(queue.Add(running, start_).ok());
  ASSERT_TRUE(queue.NextBatch(start_).has_value());
  EXPECT_FALSE(queue.Remove(running.get()));
  EXPECT_EQ(queue.queued_tokens(), 0);
  const auto finished = queue.Finish();
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_FALSE(finished[0].complete);
  EXPECT_TRUE(queue.empty());
}

TEST_F(BatchQueueTest, TakesAllAtTheEnd) {
  BatchQueue queue({.max_queue_tokens = 1000, .max_batch_tokens = 2});
  const auto last_chunk = MakeTask({1}), first_chunk = MakeTask({1, 1}),
             waiting = MakeTask({1}, &b_);
  for (const auto& task : {last_chunk, first_chunk, waiting}) {
    ASSERT_TRUE(queue.Add(task, start_).ok());
  }
  ASSERT_TRUE(queue.NextBatch(start_).has_value());
  EXPECT_THAT(queue.TakeAll(), ElementsAre(waiting));
  EXPECT_EQ(queue.queued_tokens(), 0);
  const auto finished = queue.Finish();
  ASSERT_EQ(finished.size(), 2u);
  EXPECT_TRUE(finished[0].complete);  // Nothing of it was left to run.
  EXPECT_FALSE(finished[1].complete);
}

}  // namespace
}  // namespace bitlm
