#include "clients/bench/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bitlm::bench {
namespace {

LoadResult SomeResult() {
  LoadResult result;
  result.elapsed = absl::Seconds(2);
  for (int i = 1000; i >= 1; --i) result.calls.latencies.push_back(absl::Milliseconds(i));
  result.calls.codes = {{"OK", 1000}, {"RESOURCE_EXHAUSTED", 1}};
  result.calls.refusals = {absl::Milliseconds(3)};
  result.calls.sentences = 2000;
  result.calls.tokens = 8000;
  return result;
}

TEST(ReportTest, PercentilesAreNearestRanks) {
  std::vector<absl::Duration> times;
  for (int i = 1; i <= 1000; ++i) times.push_back(absl::Milliseconds(i));
  EXPECT_EQ(Percentile(times, 0.5), absl::Milliseconds(500));
  EXPECT_EQ(Percentile(times, 0.999), absl::Milliseconds(999));
  EXPECT_EQ(Percentile(times, 1), absl::Milliseconds(1000));
  EXPECT_EQ(Percentile({absl::Seconds(1)}, 0.5), absl::Seconds(1));
  EXPECT_EQ(Percentile({absl::Seconds(1), absl::Seconds(2)}, 0.51), absl::Seconds(2));
}

TEST(ReportTest, JsonHasRatesAndLatencies) {
  const auto json = nlohmann::json::parse(JsonReport(SomeResult()));
  EXPECT_EQ(json["calls"]["OK"], 1000);
  EXPECT_EQ(json["ok_per_second"], 500);
  EXPECT_EQ(json["sentences_per_second"], 1000);
  EXPECT_EQ(json["tokens_per_second"], 4000);
  EXPECT_EQ(json["latency_seconds"]["p99"], 0.99);
  EXPECT_EQ(json["refusal_seconds"]["max"], 0.003);
  EXPECT_EQ(json["measured_seconds"], 2);
  EXPECT_FALSE(json.contains("storm"));
}

TEST(ReportTest, NothingThatEndedWellIsNoError) {
  LoadResult result;
  result.elapsed = absl::Seconds(1);
  result.calls.codes = {{"UNAVAILABLE", 3}};
  EXPECT_NE(TextReport(result).find("UNAVAILABLE 3"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(JsonReport(result))["ok_per_second"], 0);
}

TEST(ReportTest, TextTellsTheStormApart) {
  LoadResult result = SomeResult();
  EXPECT_EQ(TextReport(result).find("storm"), std::string::npos);
  result.storm.codes = {{"DEADLINE_EXCEEDED", 7}};
  const std::string text = TextReport(result);
  EXPECT_NE(text.find("storm"), std::string::npos);
  EXPECT_NE(text.find("DEADLINE_EXCEEDED 7"), std::string::npos);
  EXPECT_NE(text.find("p99 990.000 ms"), std::string::npos);
}

}  // namespace
}  // namespace bitlm::bench
