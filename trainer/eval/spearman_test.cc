#include "trainer/eval/spearman.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace bitlm::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Values = std::vector<double>;

TEST(AverageRanksTest, TiesShareTheMeanOfTheirRanks) {
  EXPECT_THAT(AverageRanks(Values{30, 10, 20}), ElementsAre(3, 1, 2));
  // 5 takes ranks 2 and 3; 7 takes ranks 4, 5 and 6.
  EXPECT_THAT(AverageRanks(Values{7, 5, 7, -1, 5, 7}), ElementsAre(5, 2.5, 5, 1, 2.5, 5));
  EXPECT_THAT(AverageRanks(Values{2, 2, 2, 2}), ElementsAre(2.5, 2.5, 2.5, 2.5));
  EXPECT_THAT(AverageRanks(Values{}), IsEmpty());
}

TEST(SpearmanCorrelationTest, OrderAloneCounts) {
  EXPECT_EQ(SpearmanCorrelation(Values{1, 2, 3, 4}, Values{1, 10, 100, 1e9}), 1);
  EXPECT_EQ(SpearmanCorrelation(Values{1, 2, 3, 4}, Values{0.4, 0.3, 0.2, -5}), -1);
}

TEST(SpearmanCorrelationTest, WithoutTiesItIsTheTextbooksShortcut) {
  const Values x{1, 2, 3, 4, 5, 6, 7, 8};
  const Values y{2, 1, 3, 5, 4, 8, 7, 6};
  // Differences -1 1 0 -1 1 -2 0 2: squares add up to 12.
  EXPECT_NEAR(SpearmanCorrelation(x, y).value(), 1 - 6.0 * 12 / (8 * 63), 1e-15);
}

TEST(SpearmanCorrelationTest, TiesByHand) {
  // Ranks 1 2.5 2.5 4 and 1 3 2 4: deviations -1.5 0 0 1.5 and -1.5 0.5 -0.5 1.5, so
  // 4.5 / sqrt(4.5 * 5).
  EXPECT_NEAR(SpearmanCorrelation(Values{1, 2, 2, 3}, Values{1, 3, 2, 4}).value(),
              4.5 / std::sqrt(4.5 * 5), 1e-15);
  // Ties on both sides. Ranks 1.5 1.5 3 4 5 and 1 2.5 2.5 4.5 4.5: deviations
  // -1.5 -1.5 0 1 2 and -2 -0.5 -0.5 1.5 1.5: products 3 + 0.75 + 0 + 1.5 + 3 = 8.25, squares
  // 9.5 and 9.
  EXPECT_NEAR(SpearmanCorrelation(Values{0, 0, 1, 2, 3}, Values{1, 2, 2, 3, 3}).value(),
              8.25 / std::sqrt(9.5 * 9), 1e-15);
}

TEST(SpearmanCorrelationTest, IsNothingWhereItIsNotDefined) {
  EXPECT_FALSE(SpearmanCorrelation(Values{}, Values{}).has_value());
  EXPECT_FALSE(SpearmanCorrelation(Values{1}, Values{1}).has_value());
  EXPECT_FALSE(SpearmanCorrelation(Values{1, 1, 1}, Values{1, 2, 3}).has_value());
  EXPECT_FALSE(SpearmanCorrelation(Values{1, 2, 3}, Values{4, 4, 4}).has_value());
}

}  // namespace
}  // namespace bitlm::trainer
