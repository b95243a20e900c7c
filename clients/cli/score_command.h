// bitlm score.
#pragma once

#include "absl/status/status.h"
#include "clients/cli/arguments.h"

namespace bitlm::cli {

// Scores the sentences in requests of bounded size, some at a time, and prints the results in
// order, as they come. Totals: after them in text, on standard error in TSV and JSON, so that
// standard output stays uniform.
absl::Status RunScore(const Connection& connection, const ScoreArguments& arguments);

}  // namespace bitlm::cli
