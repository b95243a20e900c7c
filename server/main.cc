// bitlm-server: flags to config to Server.
#include <signal.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/cpu_features.h"
#include "engine/base/file.h"
#include "server/config/server_config.h"
#include "server/logging.h"
#include "server/server.h"
#include "server/signals.h"

namespace {

constexpr int kUsageError = 2;

absl::Status WritePortFile(const std::string& path, const bitlm::Server& server) {
  if (path.empty()) return absl::OkStatus();
  std::string ports = absl::StrFormat("grpc %d\nhttp %d\n", server.grpc_port(), server.http_port());
  if (server.admin_port() != 0) absl::StrAppendFormat(&ports, "admin %d\n", server.admin_port());
  return bitlm::WriteFileAtomically(path, ports);
}

void RemovePortFile(const std::string& path) {
  if (!path.empty()) std::remove(path.c_str());
}

int Run(const bitlm::ServerConfig& config) {
  bitlm::SetUpLogging(config.log_level, config.log_format);
  spdlog::info("bitlm-server {}: {}", BITLM_VERSION, bitlm::DescribeConfig(config));
  RemovePortFile(
      config.port_file);   // An earlier run's: it would tell readers that this one is ready.
  bitlm::HandleSignals();  // Also while models load.
  auto server = bitlm::Server::Start(config);
  bitlm::KeepSignals();
  absl::Status status = server.status();
  if (status.ok()) status = WritePortFile(config.port_file, **server);
  if (!status.ok()) {
    spdlog::error("cannot start: {}", std::string(status.message()));
    return 1;
  }
  int signal = bitlm::NextSignal();
  for (; signal == SIGHUP; signal = bitlm::NextSignal()) {
    spdlog::info("signal {}: reloading", signal);
    (*server)->Reload();
  }
  spdlog::info("signal {}: draining", signal);
  const bool finished = (*server)->Drain();
  RemovePortFile(config.port_file);
  if (finished) {
    spdlog::info("stopped");
  } else {
    spdlog::error("stopped with requests unfinished: --exit-timeout-ms was over");
  }
  spdlog::shutdown();
  std::_Exit(finished ? 0 : 1);  // The connections end with the process, see Drain.
}

}  // namespace

int main(int argc, char** argv) {
  bitlm::SetUpSignals();
  const auto command = bitlm::ParseServerCommand(std::vector<std::string>(argv + 1, argv + argc));
  absl::Status status = command.status();
  if (status.ok()) status = bitlm::cpu::CheckIsaSetting();
  if (!status.ok()) {
    std::fprintf(stderr, "bitlm-server: %s\nTry bitlm-server --help.\n",
                 std::string(status.message()).c_str());
    return kUsageError;
  }
  if (!command->run) {
    std::fputs(command->output.c_str(), stdout);
    return 0;
  }
  return Run(command->config);
}
