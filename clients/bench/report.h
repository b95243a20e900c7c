// What bitlm-bench prints.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/bench/load.h"

namespace bitlm::bench {

// The smallest of `sorted` (ascending, not empty) that is no less than a part `p` of them: nearest
// rank, p in (0, 1].
absl::Duration Percentile(const std::vector<absl::Duration>& sorted, double p);

// For people: throughput, latencies, codes.
std::string TextReport(const LoadResult& result);
// One JSON object on one line; times in seconds.
std::string JsonReport(const LoadResult& result);

}  // namespace bitlm::bench
