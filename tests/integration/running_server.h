// RunningServer: bitlm-server as a process, ready to answer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/integration/process.h"
#include "tests/support/temporary_directory.h"

namespace bitlm {

class RunningServer {
 public:
  // Starts it on free ports with the models of `repository`, and waits until it is ready. Aborts
  // when it ends instead, with its log.
  explicit RunningServer(const std::string& repository, const std::vector<std::string>& flags = {});

  int grpc_port() const { return grpc_port_; }
  int http_port() const { return http_port_; }
  // With --admin-address among the flags.
  std::string admin_target() const { return "127.0.0.1:" + std::to_string(admin_port_); }
  std::string target() const { return "127.0.0.1:" + std::to_string(grpc_port_); }
  std::string port_file() const { return directory_.Path("ports"); }
  Process& process() { return *process_; }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<Process> process_;
  int grpc_port_ = 0;
  int http_port_ = 0;
  int admin_port_ = 0;
};

}  // namespace bitlm
