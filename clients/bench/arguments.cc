#include "clients/bench/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "clients/flags/credential_flags.h"

namespace bitlm::bench {
namespace {

// A time in `unit`, from `least` of them to a day.
void AddTime(CLI::App& app, const std::string& name, absl::Duration unit, double least,
             absl::Duration& value, const std::string& description) {
  app.add_option_function<double>(
         name, [&value, unit](double count) { value = count * unit; }, description)
      ->check(CLI::Range(least, absl::FDivDuration(absl::Hours(24), unit)))
      ->default_str(absl::FormatDuration(value));
}

void AddSeconds(CLI::App& app, const std::string& name, absl::Duration& value,
                const std::string& description) {
  AddTime(app, name, absl::Seconds(1), 0, value, description);
}

void AddMilliseconds(CLI::App& app, const std::string& name, absl::Duration& value,
                     const std::string& description) {
  AddTime(app, name, absl::Milliseconds(1), 0.001, value, description);
}

}  // namespace

absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& args) {
  Arguments arguments;
  LoadOptions& load = arguments.load;
  WorkloadOptions& workload = arguments.workload;
  std::string rpc = "score", arrivals = "poisson";
  CLI::App app(
      "bitlm-bench sends a bitlm-server real text and measures what comes back. Without --rate, "
      "--concurrency calls are always in flight (closed loop); with --rate, requests are sent at "
      "their times whatever becomes of the others (open loop), and latencies count from those "
      "times. Calls are not retried.",
      "bitlm-bench");
  app.set_version_flag("--version", "bitlm-bench " BITLM_VERSION);
  app.add_option("--server", load.target, "host:port")->capture_default_str();
  app.add_option("--model", workload.model, "Name of the model; default: the server's only one");
  client::AddCredentialFlags(&app, &load.credentials);
  auto* text = app.add_option_group("text");
  text->add_option("--sentences", arguments.sentences, "A file, one sentence a line; -: stdin");
  text->add_option(
      "--nbest", arguments.nbest,
      R"(A file of n-best lists, one request a line: {"hyps": [{"text": …}, …]}; -: stdin)");
  text->require_option(1);
  app.add_option("--rpc", rpc, "score, or next: the words after every beginning of a sentence")
      ->check(CLI::IsMember({"score", "next"}))
      ->capture_default_str();
  app.add_option("--sentences-per-request", workload.sentences_per_request, "Of --sentences")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--top-k", workload.top_k, "Of --rpc next")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--connections", load.connections, "Connections, used in turn")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--concurrency", load.concurrency, "Calls in flight, closed loop")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--rate", load.rate, "Requests a second, open loop; 0: closed loop")
      ->check(CLI::Range(0.0, 1e7))
      ->capture_default_str();
  app.add_option("--arrivals", arrivals, "poisson or constant, open loop")
      ->check(CLI::IsMember({"poisson", "constant"}))
      ->capture_default_str();
  AddSeconds(app, "--warmup-s", load.warmup, "Not measured");
  AddSeconds(app, "--duration-s", load.duration, "Measured");
  AddMilliseconds(app, "--deadline-ms", load.deadline, "Of a call");
  app.add_option("--storm", load.storm, "Part of the calls that have shorter deadlines")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  AddMilliseconds(app, "--storm-deadline-min-ms", load.storm_deadline_min, "Their least deadline");
  AddMilliseconds(app, "--storm-deadline-max-ms", load.storm_deadline_max, "Their most");
  app.add_option("--cancel", load.cancel, "Part of the calls that the client cancels")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  AddMilliseconds(app, "--cancel-within-ms", load.cancel_within,
                  "At a random time up to this after sending");
  app.add_option("--seed", load.seed, "Of arrivals, deadlines and cancels")->capture_default_str();
  app.add_flag("--json", arguments.json, "One JSON object on standard output");
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());  // As CLI11 wants them.
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    arguments.output = app.help();
    return arguments;
  } catch (const CLI::CallForVersion&) {
    arguments.output = "bitlm-bench " BITLM_VERSION "\n";
    return arguments;
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  client::CompleteCredentials(&load.credentials);
  workload.rpc = rpc == "next" ? Rpc::kNextWords : Rpc::kScoreSentences;
  load.arrivals = arrivals == "constant" ? ArrivalKind::kConstant : ArrivalKind::kPoisson;
  if (workload.rpc == Rpc::kNextWords && !arguments.nbest.empty()) {
    return absl::InvalidArgumentError("--nbest: not with --rpc next");
  }
  if (load.storm_deadline_min > load.storm_deadline_max) {
    return absl::InvalidArgumentError("--storm-deadline-min-ms: more than --storm-deadline-max-ms");
  }
  if (load.duration <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--duration-s: must be more than 0");
  }
  return arguments;
}

}  // namespace bitlm::bench
