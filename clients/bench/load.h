// RunLoad: sends a workload in a closed or an open loop and measures what comes back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/bench/arrivals.h"
#include "clients/bench/workload.h"
#include "clients/cpp/client.h"

namespace bitlm::bench {

struct LoadOptions {
  std::string target = "127.0.0.1:50051";
  client::Credentials credentials = {};
  int connections = 1;
  // Closed loop: so many calls are always in flight. At least 1.
  int concurrency = 1;
  // Open loop: requests a second; 0: closed loop.
  double rate = 0;
  ArrivalKind arrivals = ArrivalKind::kPoisson;
  absl::Duration warmup = absl::Seconds(1);  // Not measured.
  absl::Duration duration = absl::Seconds(10);
  // Of a call; not of those of the storm.
  absl::Duration deadline = absl::Seconds(60);
  // The storm: a part of the calls, with deadlines between two bounds, evenly.
  double storm = 0;
  absl::Duration storm_deadline_min = absl::Milliseconds(1);
  absl::Duration storm_deadline_max = absl::Milliseconds(5);
  // A part of the calls is cancelled by the client, at a random time up to `cancel_within` after it
  // was sent.
  double cancel = 0;
  absl::Duration cancel_within = absl::Milliseconds(20);
  uint64_t seed = 1;
};

// Calls of one kind that were sent in the measured time.
struct CallGroup {
  std::map<std::string, int64_t> codes;  // Calls by gRPC status code, "OK".
  // [calls that ended OK], from the time at which the call was to be sent; of those refused with
  // RESOURCE_EXHAUSTED likewise.
  std::vector<absl::Duration> latencies, refusals;
  int64_t tokens = 0;     // Scored in calls that ended OK.
  int64_t sentences = 0;  // Likewise.
};

struct LoadResult {
  CallGroup calls;
  CallGroup storm;
  absl::Duration elapsed;  // The measured time.
};

// Errors: UNAVAILABLE when the server does not answer in five seconds; of credentials that cannot
// be read.
absl::StatusOr<LoadResult> RunLoad(const Workload& workload, const LoadOptions& options);

}  // namespace bitlm::bench
