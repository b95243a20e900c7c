#include "server/batching/batch_cost.h"

#include <gtest/gtest.h>

namespace bitlm {
namespace {

void ExpectNear(absl::Duration actual, absl::Duration expected) {
  EXPECT_NEAR(absl::ToDoubleMicroseconds(actual), absl::ToDoubleMicroseconds(expected),
              0.02 * absl::ToDoubleMicroseconds(expected));
}

TEST(BatchCostTest, LearnsWhatABatchAndARowCost) {
  BatchCost cost;
  EXPECT_EQ(cost.Estimate(7), absl::ZeroDuration());
  for (int i = 0; i < 200; ++i) {
    const int64_t rows = 1 + i * 7 % 30;
    cost.Learn(rows, absl::Microseconds(50 + 20 * rows));
  }
  ExpectNear(cost.Estimate(1), absl::Microseconds(70));
  ExpectNear(cost.Estimate(64), absl::Microseconds(1330));
}

TEST(BatchCostTest, OfBatchesOfOneSizeItIsTheirMean) {
  BatchCost cost;
  for (int i = 0; i < 50; ++i) cost.Learn(8, absl::Microseconds(200));
  ExpectNear(cost.Estimate(8), absl::Microseconds(200));
  ExpectNear(cost.Estimate(1), absl::Microseconds(200));
}

TEST(BatchCostTest, FollowsAChangeAndForgivesAHiccup) {
  BatchCost cost;
  for (int i = 0; i < 100; ++i) cost.Learn(1 + i % 8, absl::Microseconds(100));
  cost.Learn(4, absl::Seconds(1));
  EXPECT_LT(cost.Estimate(4), absl::Microseconds(110));
  for (int i = 0; i < 300; ++i) cost.Learn(1 + i % 8, absl::Milliseconds(10));
  ExpectNear(cost.Estimate(4), absl::Milliseconds(10));
}

TEST(BatchCostTest, SurvivesAClockThatGoesBack) {
  BatchCost cost;
  for (int i = 0; i < 100; ++i) cost.Learn(1 + i % 8, absl::Milliseconds(1));
  for (int i = 0; i < 100; ++i) cost.Learn(1 + i % 8, absl::Seconds(-10));
  EXPECT_GE(cost.Estimate(4), absl::ZeroDuration());
  for (int i = 0; i < 300; ++i) cost.Learn(1 + i % 8, absl::Milliseconds(1));
  ExpectNear(cost.Estimate(4), absl::Milliseconds(1));
}

TEST(BatchCostTest, RowsNeverCostLessThanNothing) {
  BatchCost cost;
  for (int i = 0; i < 100; ++i) {
    cost.Learn(1 + i % 8, absl::Microseconds(1000 - 100 * (i % 8)));  // The wrong way round.
  }
  EXPECT_GT(cost.Estimate(1000), absl::ZeroDuration());
  EXPECT_GE(cost.Estimate(1000), cost.Estimate(1));
}

}  // namespace
}  // namespace bitlm
