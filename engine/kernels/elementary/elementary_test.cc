#include "engine/kernels/elementary/elementary.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace bitlm::elementary {
namespace {

// Calls check(x) for floats all over [low, high]: an even grid of bit patterns for each sign.
template <typename Check>
void ForFloats(float low, float high, const Check& check) {
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += 9973) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (x >= low && x <= high) check(x);
  }
}

// 8 half-units in the last place: what nn/error_bound.cc and docs/numerics.md count with.
constexpr double kBound = 8 * 0x1p-24;

TEST(ElementaryTest, ExpIsAccurate) {
  double worst = 0;
  ForFloats(kExpLow + 0.001f, kExpHigh, [&](float x) {
    const double exact = std::exp(double{x});
    worst = std::max(worst, std::fabs(Exp(x) - exact) / exact);
  });
  EXPECT_LT(worst, kBound);
  RecordProperty("worst_relative_error", std::to_string(worst));
}

TEST(ElementaryTest, ExpHasDefinedEnds) {
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-0.0f), 1.0f);
  EXPECT_EQ(Exp(kExpLow), 0.0f);
  EXPECT_EQ(Exp(-1000.0f), 0.0f);
  EXPECT_EQ(Exp(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_EQ(Exp(std::numeric_limits<float>::quiet_NaN()), 0.0f);
  EXPECT_EQ(Exp(1000.0f), Exp(kExpHigh));
  EXPECT_EQ(Exp(std::numeric_limits<float>::infinity()), Exp(kExpHigh));
  EXPECT_TRUE(std::isfinite(Exp(kExpHigh)));
}

TEST(ElementaryTest, LogIsAccurate) {
  ForFloats(std::numeric_limits<float>::min(), std::numeric_limits<float>::max(), [&](float x) {
    const double exact = std::log(double{x});
    // One unit in the last place, of the result or (near 1) of the argument's distance from 1.
    ASSERT_NEAR(Log(x), exact, std::fabs(exact) * 2 * 0x1p-24 + 0x1p-40) << x;
  });
  EXPECT_EQ(Log(1.0f), 0.0f);
}

TEST(ElementaryTest, SigmoidIsAccurateAndStaysInside) {
  ForFloats(-80.0f, 80.0f, [&](float x) {
    const double exact = 1 / (1 + std::exp(-double{x}));
    ASSERT_NEAR(Sigmoid(x) / exact, 1, kBound) << x;
    ASSERT_GE(Sigmoid(x), 0.0f);
    ASSERT_LE(Sigmoid(x), 1.0f);
  });
  EXPECT_EQ(Sigmoid(0.0f), 0.5f);
  EXPECT_EQ(Sigmoid(1000.0f), 1.0f);
  EXPECT_NEAR(Sigmoid(-1000.0f), 0.0f, 1e-38);
}

TEST(ElementaryTest, TanhIsAccurateOddAndStaysInside) {
  ForFloats(-1000.0f, 1000.0f, [&](float x) {
    const double exact = std::tanh(double{x});
    ASSERT_NEAR(Tanh(x), exact, std::fabs(exact) * kBound) << x;
    ASSERT_EQ(Tanh(-x), -Tanh(x));
    ASSERT_LE(std::fabs(Tanh(x)), 1.0f);
  });
  EXPECT_EQ(Tanh(0.0f), 0.0f);
}

}  // namespace
}  // namespace bitlm::elementary
