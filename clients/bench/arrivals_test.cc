#include "clients/bench/arrivals.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bitlm::bench {
namespace {

TEST(ArrivalsTest, ConstantOnesAreEvenlySpaced) {
  Arrivals arrivals(ArrivalKind::kConstant, 1000, 1);
  for (int i = 0; i < 10000; ++i) EXPECT_EQ(arrivals.Next(), absl::Microseconds(1000 * i));
}

// Mean and deviation of an exponential gap are both 1 / rate.
TEST(ArrivalsTest, PoissonGapsAreExponential) {
  Arrivals arrivals(ArrivalKind::kPoisson, 200, 7);
  constexpr int kCount = 100000;
  double sum = 0, squares = 0;
  absl::Duration last;
  for (int i = 0; i < kCount; ++i) {
    const absl::Duration time = arrivals.Next();
    const double gap = absl::ToDoubleSeconds(time - last);
    EXPECT_GE(gap, 0);
    sum += gap;
    squares += gap * gap;
    last = time;
  }
  const double mean = sum / kCount;
  EXPECT_NEAR(mean, 0.005, 0.0001);
  EXPECT_NEAR(std::sqrt(squares / kCount - mean * mean), 0.005, 0.0002);
}

TEST(ArrivalsTest, TheSeedDecides) {
  Arrivals a(ArrivalKind::kPoisson, 10, 1), b(ArrivalKind::kPoisson, 10, 1),
      c(ArrivalKind::kPoisson, 10, 2);
  const absl::Duration first = a.Next();
  EXPECT_EQ(first, b.Next());
  EXPECT_NE(first, c.Next());
}

}  // namespace
}  // namespace bitlm::bench
