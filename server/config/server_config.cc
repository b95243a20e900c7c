#include "server/config/server_config.h"

#include <arpa/inet.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <exception>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace bitlm {
namespace {

constexpr char kDescription[] =
    "Serves binarized LSTM language models over gRPC.\n"
    "Every flag has an environment variable, BITLM_ and its name (BITLM_GRPC_PORT), and a key in\n"
    "the file of --config (grpc-port = 50051). A flag wins over the environment, the environment\n"
    "over the file, the file over the default.";

std::string EnvironmentName(const std::string& flag) {
  std::string name = "BITLM_" + flag;
  for (char& c : name)
    c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

// Refuses 127.0.0.1:50051, which would be taken for a host without such a port: the port is a flag
// of its own. Two colons and more are an IPv6 address.
CLI::Validator WithoutPort(const std::string& port_flag) {
  return CLI::Validator(
      [port_flag](const std::string& address) {
        const bool has_port = std::count(address.begin(), address.end(), ':') == 1 ||
                              address.find("]:") != std::string::npos;
        return has_port ? absl::StrCat(address, " has a port; the port is --", port_flag) : "";
      },
      /*validator_desc=*/"");
}

// The one list of settings: flags, environment variables and keys of the file all come from it.
class Flags {
 public:
  Flags(CLI::App& app, ServerConfig& config) : app_(app) {
    Group("Models");
    Add("model-repository", config.model_repository, "Directory of <name>/<version>/ models");
    Add("default-model", config.default_model,
        "The model of requests that name none; without it there has to be only one");
    AddSwitch("allow-failed-models", config.allow_failed_models,
              "Start although a model fails to load");
    Add("model-control-mode", config.model_control_mode,
        "What changes the models after the start: none, poll (the repository), explicit (the admin "
        "service)")
        ->check(CLI::IsMember({"none", "poll", "explicit"}));
    Add("model-poll-interval-ms", config.model_poll_interval_ms,
        "With poll: how often the repository is looked at", 100, 86400000);
    Add("load-models", config.load_models,
        "With explicit: models to load at the start, separated by commas");
    Add("latest-versions", config.latest_versions,
        "Highest versions of each model that are served; 0: all", 0, 1000);
    Group("Addresses");
    Add("grpc-address", config.grpc_address, "Address of gRPC; 0.0.0.0 for all interfaces")
        ->check(WithoutPort("grpc-port"));
    Add("grpc-port", config.grpc_port, "Port of gRPC; 0 takes a free one", 0, 65535);
    Add("http-address", config.http_address, "Address of /metrics, /healthz and /readyz")
        ->check(WithoutPort("http-port"));
    Add("http-port", config.http_port, "Port of HTTP; 0 takes a free one", 0, 65535);
    Add("admin-address", config.admin_address,
        "Loopback address of the admin service; empty: there is none")
        ->check(WithoutPort("admin-port"));
    Add("admin-port", config.admin_port, "Port of the admin service; 0 takes a free one", 0, 65535);
    Add("port-file", config.port_file, "File that gets the ports in use, once the server is ready");
    Group("Computing");
    Add("threads", config.threads, "Threads that compute; 0: one per core", 0, 4096);
    Add("max-queue-tokens", config.max_queue_tokens,
        "Tokens that may wait or be computed; more is refused with RESOURCE_EXHAUSTED", 2,
        int64_t{1} << 40);
    Add("max-requests-in-flight", config.max_requests_in_flight,
        "Requests that have begun and not ended; more are refused with RESOURCE_EXHAUSTED", 1,
        10000000);
    Add("max-batch-rows", config.max_batch_rows, "LSTM steps computed together", 1, 65536);
    Add("max-queue-delay-ms", config.max_queue_delay_ms,
        "How long requests wait for others while the engine is free", 0, 10000);
    Add("state-cache-mib", config.state_cache_mib,
        "MiB that keep the states of recent contexts; 0: none", 0, 1048576);
    Group("Limits of requests");
    RequestLimits& limits = config.limits;
    Add("max-sentences-per-request", limits.max_sentences_per_request,
        "Sentences of one ScoreSentences request", 1, 1000000);
    Add("max-words-per-sentence", limits.max_words_per_sentence, "Words of a sentence or context",
        1, 1000000);
    Add("max-top-k", limits.max_top_k, "Words of one NextWords answer, and candidates", 1, 1000000);
    Add("max-message-bytes", limits.max_message_bytes, "Bytes of one request message", 1024,
        1 << 30);
    Group("Limits of connections");
    ConnectionLimits& connections = config.connections;
    Add("max-concurrent-streams", connections.max_concurrent_streams,
        "Calls that one connection may have at a time", 1, 100000);
    Add("max-metadata-bytes", connections.max_metadata_bytes, "Bytes of one call's metadata", 1024,
        1 << 20);
    Add("handshake-timeout-ms", connections.handshake_timeout_ms,
        "How long the handshakes of a new connection may take", 100, 600000);
    Add("max-connection-age-s", connections.max_connection_age_s,
        "Age at which a connection is closed, its calls ended; 0: never", 0, 86400);
    Add("max-connection-idle-s", connections.max_connection_idle_s,
        "How long a connection may be without a call; 0: for ever", 0, 86400);
    Add("keepalive-time-s", connections.keepalive_time_s,
        "How often the peer of a silent connection is asked whether it is there", 1, 86400);
    Add("keepalive-timeout-s", connections.keepalive_timeout_s, "How long its answer may take", 1,
        86400);
    Add("min-ping-interval-s", connections.min_ping_interval_s,
        "How often a peer may ask; one that asks more often is cut off; 0: as it likes", 0, 86400);
    Add("max-grpc-memory-mib", connections.max_grpc_memory_mib,
        "MiB that gRPC may take for messages, over which calls and connections fail; 0: any", 0,
        1048576);
    Group("Security");
    Add("tls-cert-file", config.tls_cert_file, "Certificate chain of gRPC, PEM; none: no TLS");
    Add("tls-key-file", config.tls_key_file, "Its private key, PEM");
    Add("tls-client-ca-file", config.tls_client_ca_file,
        "Clients have to show a certificate of one of these, PEM");
    Add("tls-reload-interval-s", config.tls_reload_interval_s,
        "How often these files are read again", 1, 86400);
    Add("auth-token-file", config.auth_token_file,
        "Bearer tokens, a token a line; calls want one, but for health");
    Group("Health and shutdown");
    Add("stall-timeout-ms", config.stall_timeout_ms,
        "How long the engine may have work and make no progress before health says so; 0: for ever",
        0, 3600000);
    Add("drain-delay-ms", config.drain_delay_ms,
        "After SIGTERM, how long requests are still accepted while health says NOT_SERVING", 0,
        600000);
    Add("exit-timeout-ms", config.exit_timeout_ms, "Then, how long requests in flight may take", 0,
        3600000);
    Group("Logging");
    Add("log-level", config.log_level, "debug, info, warning or error")
        ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
    Add("log-requests", config.log_requests,
        "One request of so many is logged; 0: only those that fail by the server's fault", 0,
        1000000000);
    Add("log-format", config.log_format, "text, or json: one object a line")
        ->check(CLI::IsMember({"text", "json"}));
  }

 private:
  void Group(const char* group) { group_ = group; }

  template <typename T>
  CLI::Option* Add(const std::string& name, T& value, const std::string& description) {
    return app_.add_option("--" + name, value, description)
        ->capture_default_str()
        ->envname(EnvironmentName(name))
        ->group(group_);
  }
  template <typename T>
  CLI::Option* Add(const std::string& name, T& value, const std::string& description, int64_t low,
                   int64_t high) {
    return Add(name, value, description)->check(CLI::Range(low, high));
  }
  void AddSwitch(const std::string& name, bool& value, const std::string& description) {
    app_.add_flag("--" + name, value, description)
        ->envname(EnvironmentName(name))
        ->group(group_)
        ->default_str(value ? "true" : "false");
  }

  CLI::App& app_;
  std::string group_;
};

// Gives the settings of a file to the options that neither flag nor environment has set. (CLI11's
// own set_config lets the file win over the environment.)
void ApplyFile(CLI::App& app, const std::string& path) {
  std::set<std::string> seen;
  for (const CLI::ConfigItem& item : app.get_config_formatter()->from_file(path)) {
    if (!item.parents.empty()) {  // CLI11 gives the opening of a section as an item of its own.
      throw CLI::ConfigError("section [" + item.parents.front() + "]: settings have no sections");
    }
    CLI::Option* option = app.get_option_no_throw("--" + item.name);
    if (option == nullptr || !option->get_configurable()) {
      throw CLI::ConfigError("unknown key '" + item.name + "'");
    }
    // CLI11 joins lines with the same key when they follow each other.
    if (!seen.insert(item.name).second || item.inputs.size() > 1) {
      throw CLI::ConfigError("key '" + item.name + "' has more than one value");
    }
    if (option->count() > 0) continue;
    if (option->get_expected_min() == 0) {
      option->add_result(option->get_flag_value(option->get_name(false, false),
                                                app.get_config_formatter()->to_flag(item)));
    } else {
      option->add_result(item.inputs);
    }
    option->run_callback();
  }
}

absl::Status Check(const ServerConfig& config) {
  if (config.model_repository.empty()) {
    return absl::InvalidArgumentError("--model-repository: empty");
  }
  if (!config.admin_address.empty() && !IsLoopback(config.admin_address)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--admin-address: %s, must be a loopback address as 127.0.0.1 or ::1",
                        config.admin_address));
  }
  if (config.tls_cert_file.empty() != config.tls_key_file.empty()) {
    return absl::InvalidArgumentError("--tls-cert-file, --tls-key-file: one wants the other");
  }
  if (!config.tls_client_ca_file.empty() && config.tls_cert_file.empty()) {
    return absl::InvalidArgumentError("--tls-client-ca-file: wants --tls-cert-file");
  }
  if (config.model_control_mode == "explicit" && config.admin_address.empty() &&
      config.load_models.empty()) {
    return absl::InvalidArgumentError(
        "--model-control-mode: explicit, but nothing could load a model: set --admin-address or "
        "--load-models");
  }
  if (config.model_control_mode != "explicit" && !config.load_models.empty()) {
    return absl::InvalidArgumentError("--load-models: wants --model-control-mode explicit");
  }
  if (config.stall_timeout_ms > 0 && config.stall_timeout_ms <= config.max_queue_delay_ms) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--stall-timeout-ms: %d, must be more than --max-queue-delay-ms (%d)",
                        config.stall_timeout_ms, config.max_queue_delay_ms));
  }
  if (config.limits.max_words_per_sentence >= config.max_queue_tokens) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "--max-queue-tokens: %d, must be more than --max-words-per-sentence (%d), or the longest "
        "sentence could never be queued",
        config.max_queue_tokens, config.limits.max_words_per_sentence));
  }
  return absl::OkStatus();
}

}  // namespace

bool IsLoopback(const std::string& address) {
  in_addr v4;
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

absl::StatusOr<ServerCommand> ParseServerCommand(const std::vector<std::string>& args) {
  ServerCommand command;
  CLI::App app(kDescription, "bitlm-server");
  Flags flags(app, command.config);
  std::string config_file;
  bool print_config = false;
  app.add_option("--config", config_file, "File of settings")
      ->envname("BITLM_CONFIG")
      ->configurable(false);
  app.add_flag("--print-config", print_config,
               "Print the settings in force, in the syntax of --config, and exit")
      ->configurable(false);
  app.set_version_flag("--version", "bitlm-server " BITLM_VERSION)->configurable(false);
  app.get_help_ptr()->configurable(false);

  try {
    // CLI11 takes the last argument first.
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
    if (!config_file.empty()) {
      try {
        ApplyFile(app, config_file);
      } catch (const CLI::Error& error) {
        return absl::InvalidArgumentError(absl::StrCat(config_file, ": ", error.what()));
      }
    }
  } catch (const CLI::CallForHelp&) {
    command.output = app.help();
    return command;
  } catch (const CLI::CallForVersion& version) {
    command.output = absl::StrCat(version.what(), "\n");
    return command;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (absl::Status status = Check(command.config); !status.ok()) return status;
  if (print_config) {
    command.output = app.config_to_str(/*default_also=*/true, /*write_description=*/false);
    return command;
  }
  command.run = true;
  return command;
}

std::string DescribeConfig(const ServerConfig& original) {
  ServerConfig config = original;
  CLI::App app;
  Flags flags(app, config);  // Not parsed: each option's default is the value that it got here.
  std::vector<std::string> settings;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_configurable() || option->get_name() == "--help") continue;
    settings.push_back(absl::StrCat(option->get_name().substr(2), "=", option->get_default_str()));
  }
  return absl::StrJoin(settings, " ");
}

}  // namespace bitlm
