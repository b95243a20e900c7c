#include "trainer/optim/weight_average.h"

#include <gtest/gtest.h>

#include <cmath>

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

}  // namespace
}  // namespace bitlm::trainer
