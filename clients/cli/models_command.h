// bitlm models.
#pragma once

#include "absl/status/status.h"
#include "clients/cli/arguments.h"

namespace bitlm::cli {

// Prints a table of the server's models.
absl::Status RunModels(const Connection& connection, const ModelsArguments& arguments);

}  // namespace bitlm::cli
