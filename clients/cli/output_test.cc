#include "clients/cli/output.h"

#include <gtest/gtest.h>

namespace bitlm::cli {
namespace {

TEST(OutputTest, ShortestReadsBackAsTheSameNumber) {
  EXPECT_EQ(Shortest(-0.1), "-0.1");
  EXPECT_EQ(Shortest(0.1f), "0.1");
  const double value = -123.45678901234567;
  EXPECT_EQ(std::stod(Shortest(value)), value);
}

TEST(OutputTest, TsvFieldsHoldNoSeparator) {
  EXPECT_EQ(TsvField("a\tb\nc\rd\\e"), "a\\tb\\nc\\rd\\\\e");
  EXPECT_EQ(TsvField("plain"), "plain");
}

}  // namespace
}  // namespace bitlm::cli
