// bitlm: the command-line client of bitlm-server.
#include <csignal>
#include <cstdio>
#include <string>

#include "clients/cli/admin_command.h"
#include "clients/cli/arguments.h"
#include "clients/cli/models_command.h"
#include "clients/cli/next_command.h"
#include "clients/cli/score_command.h"

namespace {

using namespace bitlm::cli;  // NOLINT: the commands of this program

absl::Status Run(const Arguments& arguments) {
  switch (arguments.command) {
    case Command::kScore:
      return RunScore(arguments.connection, arguments.score);
    case Command::kNext:
      return RunNext(arguments.connection, arguments.next);
    case Command::kModels:
      return RunModels(arguments.connection, arguments.models);
    case Command::kAdmin:
      return RunAdmin(arguments.connection, arguments.admin);
    case Command::kPrint:
      std::fputs(arguments.output.c_str(), stdout);
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that has seen enough (`bitlm score ... | head`) ends us as it ends other tools, even
  // when our parent ignores the signal.
  std::signal(SIGPIPE, SIG_DFL);
  const auto arguments = ParseArguments(std::vector<std::string>(argv + 1, argv + argc));
  if (!arguments.ok()) {
    std::fprintf(stderr, "bitlm: %s\nTry bitlm --help.\n",
                 std::string(arguments.status().message()).c_str());
    return 2;
  }
  if (const absl::Status status = Run(*arguments); !status.ok()) {
    std::fprintf(stderr, "bitlm: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
