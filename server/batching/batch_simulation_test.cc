// The queue's policy under random load, with a clock of its own: what holds for every request and
// every batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "server/batching/batch_cost.h"
#include "server/batching/batch_queue.h"
#include "server/batching/fake_task_testing.h"

namespace bitlm {
namespace {

struct Traffic {
  double arrivals_per_ms = 1;
  int longest = 30;          // Levels of most tasks.
  int large_every = 200;     // One in so many tasks is very long, another one very large; 0: none.
  double with_deadline = 0;  // Part of the tasks.
  unsigned longest_deadline_us = 100000;
  double cancelled = 0;  // Likewise, at a random time.
  int executors = 1;
};

// One run; every time is a pure function of the seed.
class Simulation {
 public:
  Simulation(const BatchQueueOptions& options, const Traffic& traffic, unsigned seed)
      : options_(options), traffic_(traffic), queue_(options), random_(seed) {
    for (int i = 0; i < traffic.executors; ++i) {
      executors_.push_back(std::make_unique<FakeExecutor>());
    }
  }

  void Run(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    absl::Time next_arrival = now_;
    while (now_ < end || !queue_.empty()) {
      for (; next_arrival <= now_ && next_arrival < end;
           next_arrival += absl::Microseconds(1 + random_() % (2 * Mean()))) {
        Arrive(next_arrival);
      }
      Cancel();
      queue_.SetBatchTime(cost_.Estimate(queue_.ReadyRows()));
      for (const auto& ended : queue_.TakeExpired(now_)) End(ended, /*late=*/true);
      const std::optional<Batch> batch = queue_.NextBatch(now_);
      if (!batch.has_value()) {
        const absl::Time due = std::min(queue_.NextDue(), next_arrival);
        if (due >= end && queue_.empty()) break;
        now_ = std::max(now_ + absl::Microseconds(1), due);
        continue;
      }
      Check(*batch);
      batch->executor->Execute(batch->slices);
      const absl::Duration time = absl::Microseconds(100 + 5 * batch->rows);
      now_ += time;
      cost_.Learn(batch->rows, time);
      for (const auto& ended : queue_.Finish()) End(ended, /*late=*/false);
    }
    EXPECT_EQ(queue_.queued_tokens(), 0);
    EXPECT_EQ(refused_ + complete_ + late_ + cancelled_, arrived_);
    EXPECT_TRUE(open_.empty());
  }

  int64_t arrived() const { return arrived_; }
  int64_t refused() const { return refused_; }
  int64_t complete() const { return complete_; }
  int64_t late() const { return late_; }
  int64_t cancelled() const { return cancelled_; }
  int64_t steps() const { return steps_; }
  int64_t wasted() const { return wasted_; }
  absl::Duration longest_wait() const { return longest_wait_; }
  // The longest time from arrival to end of a completed task of at most three levels of one step.
  absl::Duration longest_short() const { return longest_short_; }

 private:
  struct Open {
    absl::Time arrived;
    bool is_short;
    int64_t steps = 0;
    bool cancelled = false;
  };

  int64_t Mean() const { return static_cast<int64_t>(1000 / traffic_.arrivals_per_ms); }
  bool Chance(double p) { return std::uniform_real_distribution<double>()(random_) < p; }

  bool IsLarge() {
    return traffic_.large_every > 0 && random_() % static_cast<unsigned>(traffic_.large_every) == 0;
  }

  void Arrive(absl::Time at) {
    ++arrived_;
    std::vector<int64_t> levels;
    if (IsLarge()) {
      levels.assign(2000, 1);  // A very long text,
    } else if (IsLarge()) {
      levels.assign(20, 500);  // a very large request,
    } else {
      levels.assign(1 + random_() % static_cast<unsigned>(traffic_.longest), 1 + random_() % 3);
    }
    const absl::Time deadline =
        Chance(traffic_.with_deadline)
            ? at + absl::Microseconds(1000 + random_() % traffic_.longest_deadline_us)
            : absl::InfiniteFuture();
    const bool is_short = levels.size() <= 3 && levels[0] == 1;
    auto task = std::make_shared<FakeTask>(executors_[random_() % executors_.size()].get(), levels,
                                           deadline);
    if (!queue_.Add(task, at).ok()) {
      ++refused_;
      return;
    }
    open_.emplace(task.get(), Open{.arrived = at, .is_short = is_short});
    if (Chance(traffic_.cancelled)) {
      cancels_.emplace(at + absl::Microseconds(random_() % 20000), task);
    }
  }

  void Cancel() {
    while (!cancels_.empty() && cancels_.begin()->first <= now_) {
      const std::shared_ptr<Task> task = cancels_.begin()->second;
      cancels_.erase(cancels_.begin());
      const auto open = open_.find(task.get());
      if (open == open_.end()) continue;
      open->second.cancelled = true;
      if (const auto ended = queue_.Remove(task.get()); ended.has_value()) End(*ended, false);
    }
  }

  void Check(const Batch& batch) {
    ASSERT_LE(batch.rows, options_.max_batch_rows);
    ASSERT_GT(batch.rows, 0);
    int64_t rows = 0;
    std::set<const Task*> distinct;
    for (const Slice& slice : batch.slices) {
      ASSERT_EQ(slice.task->executor(), batch.executor);
      ASSERT_GE(slice.steps, 1);
      ASSERT_LE(slice.steps, slice.task->ready());
      ASSERT_GT(slice.task->deadline(), now_);
      ASSERT_TRUE(distinct.insert(slice.task).second);
      ASSERT_TRUE(open_.contains(slice.task));
      rows += slice.steps;
      open_.at(slice.task).steps += slice.steps;
    }
    ASSERT_EQ(rows, batch.rows);
    steps_ += rows;
    for (const absl::Duration wait : batch.first_waits) {
      longest_wait_ = std::max(longest_wait_, wait);
    }
  }

  void End(const BatchQueue::Ended& ended, bool late) {
    const auto open = open_.find(ended.task.get());
    ASSERT_TRUE(open != open_.end());  // Once.
    EXPECT_EQ(ended.steps, open->second.steps);
    EXPECT_EQ(ended.complete, ended.task->ready() == 0);
    if (ended.complete) {
      ++complete_;
      if (open->second.is_short) {
        longest_short_ = std::max(longest_short_, now_ - open->second.arrived);
      }
    } else {
      wasted_ += ended.steps;
      ++(late ? late_ : cancelled_);
      EXPECT_EQ(late, !open->second.cancelled);
    }
    open_.erase(open);
  }

  const BatchQueueOptions options_;
  const Traffic traffic_;
  BatchQueue queue_;
  std::mt19937 random_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  std::vector<std::unique_ptr<FakeExecutor>> executors_;
  std::map<const Task*, Open> open_;
  std::multimap<absl::Time, std::shared_ptr<Task>> cancels_;
  int64_t arrived_ = 0, refused_ = 0, complete_ = 0, late_ = 0, cancelled_ = 0;
  int64_t steps_ = 0, wasted_ = 0;
  BatchCost cost_;
  absl::Duration longest_wait_, longest_short_;
};

TEST(BatchSimulationTest, EveryRequestEndsOnceWhateverTheLoad) {
  int64_t cancelled = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    for (const double rate : {0.2, 2.0, 20.0}) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", rate " << rate);
      Simulation simulation({.max_queue_tokens = 50000, .max_batch_rows = 1 + seed * 5},
                            {.arrivals_per_ms = rate,
                             .with_deadline = 0.5,
                             .cancelled = 0.3,
                             .executors = 1 + static_cast<int>(seed % 3)},
                            seed);
      simulation.Run(absl::Milliseconds(300));
      EXPECT_GT(simulation.complete(), 0);
      cancelled += simulation.cancelled();
    }
  }
  EXPECT_GT(cancelled, 1000);
}

TEST(BatchSimulationTest, WithoutOverloadEverythingIsComputed) {
  Simulation simulation({.max_batch_rows = 64}, {.arrivals_per_ms = 1}, 1);
  simulation.Run(absl::Seconds(2));
  EXPECT_GT(simulation.arrived(), 1500);
  EXPECT_EQ(simulation.complete(), simulation.arrived());
  EXPECT_EQ(simulation.wasted(), 0);
  EXPECT_LE(simulation.longest_wait(), absl::Milliseconds(2));
}

// Texts of 2,000 words and requests of 500 sentences are always there; a short sentence does not
// feel them.
TEST(BatchSimulationTest, ShortRequestsAreNotHeldBehindLongOnes) {
  Simulation simulation({.max_queue_tokens = 262144, .max_batch_rows = 64},
                        {.arrivals_per_ms = 2, .longest = 3}, 2);
  simulation.Run(absl::Seconds(2));
  EXPECT_EQ(simulation.complete(), simulation.arrived());
  EXPECT_LE(simulation.longest_short(), absl::Milliseconds(5));  // Three steps take 1.3 ms.
}

TEST(BatchSimulationTest, UnderOverloadNobodyStarves) {
  Simulation simulation({.max_queue_tokens = 20000, .max_batch_rows = 32},
                        {.arrivals_per_ms = 20, .with_deadline = 0.5}, 3);
  simulation.Run(absl::Seconds(6));
  EXPECT_GT(simulation.refused(), 0);
  EXPECT_GT(simulation.late(), 0);
  // Its patience, and what came before.
  EXPECT_LE(simulation.longest_wait(), absl::Seconds(3));
}

// Half of the sentences have 1 to 5 ms, which is less than many of them need.
TEST(BatchSimulationTest, LittleIsComputedInVainInADeadlineStorm) {
  for (const double rate : {1.0, 8.0}) {
    SCOPED_TRACE(rate);
    Simulation simulation({.max_batch_rows = 64},
                          {.arrivals_per_ms = rate,
                           .large_every = 0,
                           .with_deadline = 0.5,
                           .longest_deadline_us = 4000},
                          4);
    simulation.Run(absl::Seconds(2));
    EXPECT_GT(simulation.late(), simulation.arrived() / 20);
    EXPECT_LT(static_cast<double>(simulation.wasted()),
              0.01 * static_cast<double>(simulation.steps()));
  }
}

TEST(BatchSimulationTest, TheSameSeedGivesTheSameRun) {
  std::vector<int64_t> runs[2];
  for (std::vector<int64_t>& run : runs) {
    Simulation simulation({.max_queue_tokens = 20000, .max_batch_rows = 32},
                          {.arrivals_per_ms = 10, .with_deadline = 0.5, .cancelled = 0.2}, 5);
    simulation.Run(absl::Milliseconds(500));
    run = {simulation.arrived(),   simulation.refused(),
           simulation.complete(),  simulation.late(),
           simulation.cancelled(), simulation.steps(),
           simulation.wasted(),    absl::ToInt64Nanoseconds(simulation.longest_wait())};
  }
  EXPECT_EQ(runs[0], runs[1]);
}

}  // namespace
}  // namespace bitlm
