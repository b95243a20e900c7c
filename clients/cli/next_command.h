// bitlm next.
#pragma once

#include "absl/status/status.h"
#include "clients/cli/arguments.h"

namespace bitlm::cli {

// Prints the most probable next words, most probable first.
absl::Status RunNext(const Connection& connection, const NextArguments& arguments);

}  // namespace bitlm::cli
