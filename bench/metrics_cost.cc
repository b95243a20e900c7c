// bitlm-bench-metrics: what the metrics of a request cost, for a row of bench/suites/server. Prints
// {"request_ns": …, "batch_ns": …}: the time of everything that a request of one sentence counts,
// and of what a batch counts, each the median of many rounds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "server/metrics/server_metrics.h"

namespace bitlm::bench {
namespace {

template <typename Body>
double MedianNanoseconds(const Body& body) {
  constexpr int kRounds = 21, kCalls = 20000;
  std::vector<double> rounds;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int call = 0; call < kCalls; ++call) body();
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    rounds.push_back(time.count() / kCalls);
  }
  std::nth_element(rounds.begin(), rounds.begin() + kRounds / 2, rounds.end());
  return rounds[kRounds / 2];
}

int Main() {
  ServerMetrics metrics("0", "cpu");
  const auto model = metrics.AddModel({.name = "model",
                                       .version = 1,
                                       .preset = "bllm",
                                       .device = "cpu",
                                       .load_time = absl::Seconds(1)});
  constexpr const char* kService = "bitlm.v1.LanguageModelService";
  const double request = MedianNanoseconds([&] {
    metrics.OnCallStarted(kService, "ScoreSentences");
    metrics.OnQueueTokens(21);
    model->OnScored(1, 21, 1, 20);
    metrics.OnQueueTokens(0);
    metrics.OnCallHandled(kService, "ScoreSentences", "OK", absl::Microseconds(900));
  });
  const std::vector<absl::Duration> waits(1, absl::Microseconds(20));
  const double batch = MedianNanoseconds([&] {
    metrics.OnBatch(1, waits);
    model->OnComputed(absl::Microseconds(40));
  });
  std::printf("%s\n", nlohmann::json{{"request_ns", request}, {"batch_ns", batch}}.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace bitlm::bench

int main() { return bitlm::bench::Main(); }
