// bitlm admin: the operator's commands.
#pragma once

#include "absl/status/status.h"
#include "clients/cli/arguments.h"

namespace bitlm::cli {

// Carries one command out, and says on standard output what came of it.
absl::Status RunAdmin(const Connection& connection, const AdminArguments& arguments);

}  // namespace bitlm::cli
