// ServerConfig: every setting of bitlm-server, in one struct, parsed and checked once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bitlm {

// Limits of requests; ModelService.DescribeModel tells them to clients.
struct RequestLimits {
  // Sentences of one ScoreSentences request. Range [1, 1000000].
  int64_t max_sentences_per_request = 4096;
  // Words of one sentence or context. A sentence runs in one piece, so this bounds how long one
  // request can keep the others waiting. Range [1, 1000000].
  int64_t max_words_per_sentence = 4096;
  // Words of one NextWords answer, and its candidates. Range [1, 1000000].
  int64_t max_top_k = 1000;
  // Bytes of one request message. Range [1024, 1073741824].
  int64_t max_message_bytes = 4 << 20;
};

// Limits of gRPC connections.
struct ConnectionLimits {
  // Calls that one connection may have at a time; gRPC's clients keep further ones back. Range
  // [1, 100000].
  int64_t max_concurrent_streams = 1024;
  // Bytes of one call's metadata. Range [1024, 1048576].
  int64_t max_metadata_bytes = 8192;
  // How long a new connection may take for its handshakes, TLS and HTTP/2, in milliseconds. Range
  // [100, 600000].
  int64_t handshake_timeout_ms = 10000;
  // Age at which a connection is closed, in seconds, give or take a tenth; its calls may end. So
  // clients look up the server's addresses again and find new replicas. 0: never. Range [0, 86400].
  int64_t max_connection_age_s = 300;
  // How long a connection may be without a call, in seconds. 0: for ever. Range [0, 86400].
  int64_t max_connection_idle_s = 0;
  // How often the peer of a silent connection is asked whether it is there, and how long its answer
  // may take, in seconds. Range [1, 86400].
  int64_t keepalive_time_s = 120;
  int64_t keepalive_timeout_s = 20;
  // How often a peer may ask, in seconds; one that asks more often is cut off. 0: as it likes.
  // Range [0, 86400].
  int64_t min_ping_interval_s = 10;
  // Memory that gRPC may take for messages, in MiB; over it calls and connections fail. 0: any.
  // Range [0, 1048576].
  int64_t max_grpc_memory_mib = 256;
};

// Defaults are those of the flags.
struct ServerConfig {
  // Directory of <name>/<version>/ model directories.
  std::string model_repository = "models";
  // The model of requests that name none. Empty: there has to be only one.
  std::string default_model;
  // Whether to start although a model fails to load.
  bool allow_failed_models = false;
  // Who decides what is loaded after the start: "none" nobody, "poll" the repository, "explicit"
  // the admin service.
  std::string model_control_mode = "none";
  // With "poll": how often the repository is looked at, in milliseconds. Range [100, 86400000].
  int64_t model_poll_interval_ms = 5000;
  // With "explicit": names of the models that are loaded at the start, separated by commas.
  std::string load_models;
  // Highest versions of each model that are served. 0: all. Range [0, 1000].
  int64_t latest_versions = 0;

  // Address and port of gRPC. Port 0 takes a free one.
  std::string grpc_address = "127.0.0.1";
  int grpc_port = 50051;
  // Address and port of /metrics, /healthz and /readyz. Port 0 takes a free one.
  std::string http_address = "127.0.0.1";
  int http_port = 8002;
  // Address of the admin service, of the loopback interface. Empty: there is none. Port 0 takes a
  // free one.
  std::string admin_address;
  int admin_port = 50052;
  // Where to write the ports in use, once the server is ready: "grpc PORT\nhttp PORT\n", and
  // "admin PORT\n" with an admin service. Removed before models load and after the stop. Empty: not
  // written.
  std::string port_file;

  // Threads that compute. 0: one per core that this process may use.
  int threads = 0;
  // Tokens of the requests that wait or are computed, all together. Range [2, 2^40].
  int64_t max_queue_tokens = 65536;
  // Requests that have begun and not ended, all together. Range [1, 10000000].
  int64_t max_requests_in_flight = 4096;
  // LSTM steps computed together, of all requests. Range [1, 65536].
  int64_t max_batch_rows = 256;
  // How long requests may wait for others while the engine is free and the batch is not full, in
  // milliseconds. Range [0, 10000].
  int64_t max_queue_delay_ms = 0;
  // Memory that keeps the states of recent contexts, in MiB: NextWords then reads only what is new
  // of a context. 0: none. Range [0, 1048576].
  int64_t state_cache_mib = 64;
  RequestLimits limits;

  ConnectionLimits connections;

  // TLS of gRPC: PEM files, read again every interval. Without a certificate there is none. With a
  // client CA, clients have to show a certificate of it.
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string tls_client_ca_file;
  int64_t tls_reload_interval_s = 10;  // Range [1, 86400].
  // File of bearer tokens, a token a line: calls want one, but for health. Empty: they do not.
  std::string auth_token_file;

  // After SIGTERM: how long health says NOT_SERVING while requests are still accepted, so that
  // clients turn away, in milliseconds. Range [0, 600000].
  int64_t drain_delay_ms = 300;
  // Then: how long the requests in flight may take to end, in milliseconds. Range [0, 3600000].
  int64_t exit_timeout_ms = 30000;

  // How long the engine may have work and make no progress before it counts as hanging, in
  // milliseconds. 0: for ever. Range [0, 3600000].
  int64_t stall_timeout_ms = 30000;

  // "debug", "info", "warning" or "error".
  std::string log_level = "info";
  // One request of so many is logged. 0: only those that fail by the server's fault. Range
  // [0, 1000000000].
  int64_t log_requests = 0;
  // "text" or "json" (one object a line).
  std::string log_format = "text";
};

// What a command line asks for.
struct ServerCommand {
  // False: print `output` and exit 0 (--help, --version, --print-config).
  bool run = false;
  std::string output;
  ServerConfig config;
};

// Reads flags, environment variables (BITLM_ and the flag's name, as in BITLM_GRPC_PORT) and the
// file of --config (lines `grpc-port = 50051`), in this order of precedence, then defaults. `args`
// lacks the program's name.
// Errors: INVALID_ARGUMENT for an unknown flag or key, a value that does not parse or is out of
// range, or settings that contradict each other, naming the setting.
absl::StatusOr<ServerCommand> ParseServerCommand(const std::vector<std::string>& args);

// Whether an IP address is one of the loopback interface.
bool IsLoopback(const std::string& address);

// All settings on one line, `name=value ...`, for the log.
std::string DescribeConfig(const ServerConfig& config);

}  // namespace bitlm
