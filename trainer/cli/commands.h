// The subcommands of bitlm-train. Each adds itself to the parser and leaves its outcome in
// `status`.
#pragma once

#include <CLI/CLI.hpp>

#include "absl/status/status.h"

namespace bitlm::trainer {

void AddTrainCommand(CLI::App& app, absl::Status* status);
void AddExportCommand(CLI::App& app, absl::Status* status);
void AddGenerateCommand(CLI::App& app, absl::Status* status);
void AddEvalCommand(CLI::App& app, absl::Status* status);
void AddInspectCommand(CLI::App& app, absl::Status* status);
void AddQuantizeCommand(CLI::App& app, absl::Status* status);
void AddCompareCommand(CLI::App& app, absl::Status* status);
void AddSimilarityCommand(CLI::App& app, absl::Status* status);
void AddNeighboursCommand(CLI::App& app, absl::Status* status);

}  // namespace bitlm::trainer
