#include "trainer/train/run_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

TEST(RunMetricsTest, TextExpositionFormat) {
  RunProgress progress;
  progress.model = "toy";
  progress.steps = 30;
  progress.tokens = 123456789;
  progress.epochs = 1.5;
  progress.learning_rate = 0.002;
  progress.valid_perplexity = 85.5;
  const std::string text = RunMetrics(progress);
  EXPECT_THAT(text, HasSubstr("# HELP bitlm_train_steps_total Steps of the optimizer.\n"
                              "# TYPE bitlm_train_steps_total counter\n"
                              "bitlm_train_steps_total{model=\"toy\"} 30\n"));
  EXPECT_THAT(text, HasSubstr("bitlm_train_tokens_total{model=\"toy\"} 123456789\n"));
  EXPECT_THAT(text, HasSubstr("bitlm_train_valid_perplexity{model=\"toy\"} 85.5\n"));
  // What is not known is not there.
  EXPECT_THAT(text, testing::Not(HasSubstr("accuracy")));
  EXPECT_THAT(text, testing::Not(HasSubstr("bitlm_train_perplexity")));
  EXPECT_EQ(text.back(), '\n');
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, "#")) continue;
    const std::vector<std::string> parts = absl::StrSplit(line, ' ');
    double value;
    ASSERT_EQ(parts.size(), 2u) << line;
    EXPECT_TRUE(absl::SimpleAtod(parts[1], &value)) << line;
    // Counters, and only they, end in _total.
    const std::string name = parts[0].substr(0, parts[0].find('{'));
    EXPECT_THAT(text, HasSubstr("# TYPE " + name +
                                (absl::EndsWith(name, "_total") ? " counter\n" : " gauge\n")));
  }
}

}  // namespace
}  // namespace bitlm::trainer
