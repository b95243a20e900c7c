// The command line of bitlm.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cpp/client.h"

namespace bitlm::cli {

enum class Format {
  kText,  // For people.
  kTsv,   // A header line, then one line per sentence or word.
  kJson,  // One JSON object a line.
};

// Where the server is and how long to wait for it.
struct Connection {
  client::ClientOptions options;
};

struct ScoreArguments {
  std::vector<std::string> sentences;  // From arguments; none: from `file`.
  std::string file = "-";              // "-": standard input.
  client::ScoreOptions options;
  Format format = Format::kText;
  // Logarithms are printed with this base: "e", "10" or "2".
  std::string base = "e";
  bool totals_only = false;
  bool header = true;    // Of TSV.
  int batch_size = 256;  // Sentences per request. Range [1, 4096].
};

struct NextArguments {
  std::vector<std::string> context;  // Joined by spaces.
  client::NextWordsOptions options;
  Format format = Format::kText;
  std::string base = "e";
};

struct ModelsArguments {
  Format format = Format::kText;
};

enum class AdminCommand { kLoad, kUnload, kReload, kDrain, kResume, kLogLevel };

struct AdminArguments {
  AdminCommand command = AdminCommand::kReload;
  std::string target = "127.0.0.1:50052";
  std::string model;          // kLoad, kUnload.
  int64_t model_version = 0;  // Likewise.
  std::string log_level;      // kLogLevel.
};

enum class Command { kScore, kNext, kModels, kAdmin, kPrint };

struct Arguments {
  Command command = Command::kPrint;
  std::string output;  // kPrint: the help or the version.
  Connection connection;
  ScoreArguments score;
  NextArguments next;
  ModelsArguments models;
  AdminArguments admin;
};

// Parses the arguments after the program's name. Errors: INVALID_ARGUMENT, a message for the user.
absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& args);

// What a logarithm in nats is multiplied by to get base "e", "10" or "2".
double LogarithmFactor(const std::string& base);

// `status` with advice on what to do when no server answers.
absl::Status Explain(const absl::Status& status);

}  // namespace bitlm::cli
