// Everything that an operator writes: the command line and the settings file of bitlm-server (a
// flag a line, a line of three dashes, the file), and the files of tokens and labels.
#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/server_config.h"
#include "server/registry/model_labels.h"
#include "server/service/access.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/temporary_directory.h"

namespace {

constexpr std::string_view kFile = "---\n";

void RunConfig(std::string_view text) {
  static const auto* const directory = new bitlm::TemporaryDirectory;
  const size_t split = text.find(kFile);
  std::string_view flags = text.substr(0, split);
  std::vector<std::string> args;
  while (!flags.empty()) {
    const size_t end = std::min(flags.find('\n'), flags.size());
    // The fuzzer would name files and devices of the machine.
    if (flags.substr(0, end).find("--c") != std::string_view::npos) return;
    args.emplace_back(flags.substr(0, end));
    flags.remove_prefix(std::min(end + 1, flags.size()));
  }
  if (split != std::string_view::npos) {
    const std::string path = directory->Path("server.conf");
    const std::string_view contents = text.substr(split + kFile.size());
    std::FILE* file = std::fopen(path.c_str(), "wb");
    std::fwrite(contents.data(), 1, contents.size(), file);
    std::fclose(file);
    args.push_back("--config=" + path);
  }
  const auto command = bitlm::ParseServerCommand(args);
  if (!command.ok()) {
    BITLM_FUZZ_CHECK(absl::IsInvalidArgument(command.status()));
    return;
  }
  if (!command->run) return;
  const bitlm::ServerConfig& config = command->config;
  BITLM_FUZZ_CHECK(config.grpc_port >= 0 && config.grpc_port <= 65535);
  BITLM_FUZZ_CHECK(config.max_queue_tokens > config.limits.max_words_per_sentence);
  BITLM_FUZZ_CHECK(config.admin_address.empty() || bitlm::IsLoopback(config.admin_address));
  BITLM_FUZZ_CHECK(!bitlm::DescribeConfig(config).empty());
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  RunConfig(text);
  const auto tokens = bitlm::ParseTokens(text);
  if (tokens.ok()) {
    BITLM_FUZZ_CHECK(!tokens->empty());
    for (const std::string& token : *tokens) BITLM_FUZZ_CHECK(token.size() >= 16);
  }
  const auto labels = bitlm::ParseLabels(text);
  if (labels.ok()) {
    for (const auto& [label, version] : *labels) {
      BITLM_FUZZ_CHECK(!label.empty() && label != "latest" && version > 0);
    }
  }
  return 0;
}
