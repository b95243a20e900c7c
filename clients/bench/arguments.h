// The command line of bitlm-bench.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/bench/load.h"
#include "clients/bench/workload.h"

namespace bitlm::bench {

struct Arguments {
  // Not empty: print it and exit (help, version).
  std::string output;
  std::string sentences;  // A file; "-": standard input. One of the two is given.
  std::string nbest;
  WorkloadOptions workload;
  LoadOptions load;
  bool json = false;
};

// Parses the arguments after the program's name. Errors: INVALID_ARGUMENT, a message for the user.
absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& args);

}  // namespace bitlm::bench
