// bitlm-train: makes, evaluates and inspects models.

#include <CLI/CLI.hpp>
#include <cstdio>

#include "engine/base/cpu_features.h"
#include "trainer/cli/commands.h"

int main(int argc, char** argv) {
  if (const absl::Status status = bitlm::cpu::CheckIsaSetting(); !status.ok()) {
    std::fprintf(stderr, "bitlm-train: %s\n", std::string(status.message()).c_str());
    return 2;
  }
  CLI::App app("Trains, evaluates and inspects BitLM models.", "bitlm-train");
  app.set_version_flag("--version", std::string("bitlm-train ") + BITLM_VERSION);
  app.require_subcommand(1);
  absl::Status status;
  bitlm::trainer::AddTrainCommand(app, &status);
  bitlm::trainer::AddExportCommand(app, &status);
  bitlm::trainer::AddEvalCommand(app, &status);
  bitlm::trainer::AddCompareCommand(app, &status);
  bitlm::trainer::AddSimilarityCommand(app, &status);
  bitlm::trainer::AddNeighboursCommand(app, &status);
  bitlm::trainer::AddGenerateCommand(app, &status);
  bitlm::trainer::AddInspectCommand(app, &status);
  bitlm::trainer::AddQuantizeCommand(app, &status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "bitlm-train: %s\n", std::string(status.message()).c_str());
  return 1;
}
