#include "trainer/optim/weight_average.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "trainer/optim/average_trigger.h"

namespace bitlm::trainer {
namespace {

TEST(WeightAverageTest, IsTheMeanOfAllValuesWithDecayOne) {
  ThreadPool pool(2);
  Parameter<float> a = MakeParameter<float>("a", 300, 400), b = MakeParameter<float>("b", 1, 3);
  WeightAverage average(1, {&a, &b}, &pool);
  for (int step = 0; step < 5; ++step) {
    for (size_t i = 0; i < a.value.size(); ++i) a.value[i] = static_cast<float>(i % 97 + step);
    b.value[2] = static_cast<float>(step * step);
    average.Update();
  }
  EXPECT_EQ(average.updates(), 5);
  average.Exchange();
  for (size_t i = 0; i < a.value.size(); ++i)
    ASSERT_NEAR(a.value[i], static_cast<float>(i % 97) + 2, 1e-4) << i;
  EXPECT_NEAR(b.value[2], 6, 1e-5);
  average.Exchange();
  EXPECT_EQ(a.value[96], 100);
  EXPECT_EQ(b.value[2], 16);
}

TEST(WeightAverageTest, ForgetsExponentially) {
  ThreadPool pool(1);
  Parameter<float> a = MakeParameter<float>("a", 1, 1);
  WeightAverage average(0.9, {&a}, &pool);
  a.value[0] = 1;
  for (int step = 0; step < 100; ++step) average.Update();
  EXPECT_NEAR(average.averages()[0][0], 1, 1e-6);
  a.value[0] = 0;
  for (int step = 0; step < 20; ++step) average.Update();
  EXPECT_NEAR(average.averages()[0][0], std::pow(0.9, 20), 1e-5);
}

// Merity et al. 2018, Algorithm 1: worse than the best of all but the last two before it.
TEST(AverageTriggerTest, FiresWhenValidationsHaveStoppedFalling) {
  const std::vector<double> perplexities{100, 90, 95, 89, 97, 91, 80};
  const std::vector<bool> fired{false, false, false, false, true, true, true};
  AverageTrigger trigger(2);
  std::map<std::string, double> saved;
  for (size_t i = 0; i < perplexities.size(); ++i) {
    // Any checkpoint goes on the same way.
    AverageTrigger resumed(2);
    if (i > 0) resumed.Restore(saved);
    resumed.Record(perplexities[i]);
    trigger.Record(perplexities[i]);
    EXPECT_EQ(trigger.fired(), fired[i]) << i;
    EXPECT_EQ(resumed.fired(), fired[i]) << i;
    saved.clear();
    trigger.Save(&saved);
  }
  EXPECT_TRUE(AverageTrigger(0).fired());
}

}  // namespace
}  // namespace bitlm::trainer
