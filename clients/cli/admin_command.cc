#include "clients/cli/admin_command.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "clients/cli/output.h"
#include "clients/cpp/admin_client.h"

namespace bitlm::cli {
namespace {

absl::StatusOr<std::string> Run(const client::AdminClient& client,
                                const AdminArguments& arguments) {
  switch (arguments.command) {
    case AdminCommand::kLoad:
      if (absl::Status status = client.Load(arguments.model, arguments.model_version);
          !status.ok()) {
        return status;
      }
      return absl::StrCat("loaded ", arguments.model, "\n");
    case AdminCommand::kUnload:
      if (absl::Status status = client.Unload(arguments.model, arguments.model_version);
          !status.ok()) {
        return status;
      }
      return absl::StrCat("unloaded ", arguments.model, "\n");
    case AdminCommand::kReload: {
      const auto failures = client.Reload();
      if (!failures.ok()) return failures.status();
      std::string text = "reloaded\n";
      for (const std::string& failure : *failures)
        absl::StrAppend(&text, "failed: ", failure, "\n");
      return text;
    }
    case AdminCommand::kDrain:
    case AdminCommand::kResume: {
      const bool drain = arguments.command == AdminCommand::kDrain;
      const auto tokens = client.SetDraining(drain);
      if (!tokens.ok()) return tokens.status();
      return absl::StrCat(drain ? "draining, " : "taking requests, ", *tokens, " tokens queued\n");
    }
    case AdminCommand::kLogLevel: {
      const auto before = client.SetLogLevel(arguments.log_level);
      if (!before.ok()) return before.status();
      return absl::StrCat("log level ", arguments.log_level, ", was ", *before, "\n");
    }
  }
  return absl::InternalError("no such command");
}

}  // namespace

absl::Status RunAdmin(const Connection& connection, const AdminArguments& arguments) {
  const client::AdminClient client(arguments.target, connection.options.credentials.token,
                                   connection.options.timeout);
  const absl::StatusOr<std::string> text = Run(client, arguments);
  if (absl::IsUnavailable(text.status())) {
    return absl::UnavailableError(absl::StrCat(
        text.status().message(),
        "\nbitlm-server has one with --admin-address; name it with --admin-server HOST:PORT or "
        "BITLM_ADMIN_SERVER."));
  }
  return text.ok() ? WriteOut(*text) : text.status();
}

}  // namespace bitlm::cli
