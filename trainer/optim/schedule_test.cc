#include "trainer/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bitlm::trainer {
namespace {

TEST(ScheduleTest, HalvesAfterPatienceValidationsWithoutGain) {
  const ScheduleOptions options{
      .kind = ScheduleKind::kHalving, .learning_rate = 1, .patience = 3, .minimum_fraction = 0.3};
  ScheduleState state;
  EXPECT_TRUE(RecordValidation(options, 100, &state));
  EXPECT_FALSE(RecordValidation(options, 100, &state));
  EXPECT_FALSE(RecordValidation(options, 101, &state));
  EXPECT_EQ(LearningRate(options, state, 0, 0), 1);
  EXPECT_FALSE(RecordValidation(options, 102, &state));
  EXPECT_EQ(LearningRate(options, state, 0, 0), 0.5);
  EXPECT_TRUE(RecordValidation(options, 99, &state));
  EXPECT_FALSE(Finished(options, state));
  for (int i = 0; i < 3; ++i) RecordValidation(options, 99, &state);
  EXPECT_TRUE(Finished(options, state));
}

TEST(ScheduleTest, LinearFallsFromThePeakAfterTheWarmUp) {
  const ScheduleOptions options{
      .kind = ScheduleKind::kLinear, .learning_rate = 2, .warmup_steps = 10, .final_fraction = 0.1};
  const ScheduleState state;
  EXPECT_NEAR(LearningRate(options, state, 0, 110), 0.2, 1e-12);
  EXPECT_NEAR(LearningRate(options, state, 10, 110), 2, 1e-12);
  EXPECT_NEAR(LearningRate(options, state, 60, 110), 1.1, 1e-12);
  EXPECT_NEAR(LearningRate(options, state, 110, 110), 0.2, 1e-12);
  EXPECT_FALSE(Finished(options, state));
}

TEST(ScheduleTest, CosineFallsSlowlyFastAndSlowly) {
  const ScheduleOptions options{
      .kind = ScheduleKind::kCosine, .learning_rate = 2, .warmup_steps = 10, .final_fraction = 0.1};
  const ScheduleState state;
  EXPECT_NEAR(LearningRate(options, state, 4, 110), 1, 1e-12);
  EXPECT_NEAR(LearningRate(options, state, 10, 110), 2, 1e-12);
  EXPECT_NEAR(LearningRate(options, state, 35, 110), 2 * (0.1 + 0.9 * (2 + std::sqrt(2)) / 4),
              1e-12);
  EXPECT_NEAR(LearningRate(options, state, 60, 110), 1.1, 1e-12);
  EXPECT_NEAR(LearningRate(options, state, 110, 110), 0.2, 1e-12);
  EXPECT_NEAR(LearningRate(options, state, 200, 110), 0.2, 1e-12);
  EXPECT_FALSE(Finished(options, state));
}

}  // namespace
}  // namespace bitlm::trainer
