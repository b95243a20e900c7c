#include "tests/integration/running_server.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace bitlm {

RunningServer::RunningServer(const std::string& repository, const std::vector<std::string>& flags) {
  std::vector<std::string> command = {
      Program("bitlm-server"), "--model-repository", repository, "--grpc-port=0",
      "--http-port=0",         "--port-file",        port_file()};
  command.insert(command.end(), flags.begin(), flags.end());
  process_ = std::make_unique<Process>(command);
  // The file appears whole, when the server is ready.
  for (int i = 0; i < 6000; ++i) {
    std::ifstream file(port_file());
    std::string grpc, http, admin;
    if (file >> grpc >> grpc_port_ >> http >> http_port_) {
      file >> admin >> admin_port_;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  process_->Signal(9);
  process_->Wait();
  std::fprintf(stderr, "bitlm-server is not ready:\n%s", process_->errors().c_str());
  std::abort();
}

}  // namespace bitlm
