#include "server/config/server_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace bitlm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ServerConfigTest : public ::testing::Test {
 protected:
  ~ServerConfigTest() override {
    for (const std::string& name : environment_) unsetenv(name.c_str());
    if (!file_.empty()) std::remove(file_.c_str());
  }
  void SetEnvironment(const std::string& name, const std::string& value) {
    setenv(name.c_str(), value.c_str(), 1);
    environment_.push_back(name);
  }
  std::string WriteFile(const std::string& text) {
    file_ = ::testing::TempDir() + "server_config_test_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".conf";
    std::ofstream(file_) << text;
    return file_;
  }
  static ServerConfig Parse(const std::vector<std::string>& args) {
    const auto command = ParseServerCommand(args);
    EXPECT_TRUE(command.ok()) << command.status();
    EXPECT_TRUE(command.ok() && command->run);
    return command.ok() ? command->config : ServerConfig();
  }
  static std::string Error(const std::vector<std::string>& args) {
    const auto command = ParseServerCommand(args);
    EXPECT_EQ(command.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(command.status().message());
  }

 private:
  std::vector<std::string> environment_;
  std::string file_;
};

TEST_F(ServerConfigTest, DefaultsToLoopbackAndTheDocumentedPorts) {
  const ServerConfig config = Parse({});
  EXPECT_EQ(config.grpc_address, "127.0.0.1");
  EXPECT_EQ(config.grpc_port, 50051);
  EXPECT_EQ(config.http_address, "127.0.0.1");
  EXPECT_EQ(config.http_port, 8002);
  EXPECT_EQ(config.model_repository, "models");
  EXPECT_FALSE(config.allow_failed_models);
}

TEST_F(ServerConfigTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  const std::string file = WriteFile(
      "# A comment\n"
      "grpc-port = 1001\nhttp-port = 1002\nmax-top-k = 1003\nallow-failed-models = true\n"
      "model-repository = \"from file\"\n");
  SetEnvironment("BITLM_GRPC_PORT", "2001");
  SetEnvironment("BITLM_HTTP_PORT", "2002");
  const ServerConfig config = Parse({"--config", file, "--grpc-port=3001"});
  EXPECT_EQ(config.grpc_port, 3001);
  EXPECT_EQ(config.http_port, 2002);
  EXPECT_EQ(config.limits.max_top_k, 1003);
  EXPECT_TRUE(config.allow_failed_models);
  EXPECT_EQ(config.model_repository, "from file");
  EXPECT_EQ(config.limits.max_message_bytes, 4194304);
}

TEST_F(ServerConfigTest, EnvironmentNamesTheFileAndSetsSwitches) {
  SetEnvironment("BITLM_CONFIG", WriteFile("threads = 3\nallow-failed-models = false\n"));
  SetEnvironment("BITLM_ALLOW_FAILED_MODELS", "true");
  const ServerConfig config = Parse({});
  EXPECT_EQ(config.threads, 3);
  EXPECT_TRUE(config.allow_failed_models);
}

TEST_F(ServerConfigTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(Error({"--grpc-prot=1"}), HasSubstr("--grpc-prot"));
  EXPECT_THAT(Error({"stray"}), HasSubstr("stray"));
  const std::string unknown_key = Error({"--config", WriteFile("grpc-prot = 1\n")});
  EXPECT_THAT(unknown_key, HasSubstr("grpc-prot"));
  EXPECT_THAT(unknown_key, HasSubstr(".conf"));
}

TEST_F(ServerConfigTest, RefusesAKeyThatTheFileRepeats) {
  EXPECT_THAT(Error({"--config", WriteFile("threads = 1\nthreads = 2\n")}),
              HasSubstr("'threads' has more than one value"));
  EXPECT_THAT(Error({"--config", WriteFile("threads = 1\nmax-top-k = 3\nthreads = 2\n")}),
              HasSubstr("'threads' has more than one value"));
  EXPECT_THAT(Error({"--threads=3", "--config",
                     WriteFile("allow-failed-models = true\nallow-failed-models = false\n")}),
              HasSubstr("'allow-failed-models' has more than one value"));
}

TEST_F(ServerConfigTest, RefusesASectionAndKeysThatAreNotSettings) {
  EXPECT_THAT(Error({"--config", WriteFile("[server]\ngrpc-port = 1\n")}), HasSubstr("[server]"));
  EXPECT_THAT(Error({"--config", WriteFile("config = x\n")}), HasSubstr("config"));
  EXPECT_THAT(Error({"--config", WriteFile("help = true\n")}), HasSubstr("help"));
}

TEST_F(ServerConfigTest, RefusesBadValuesFromEverySource) {
  EXPECT_THAT(Error({"--grpc-port=65536"}), HasSubstr("--grpc-port"));
  EXPECT_THAT(Error({"--threads=two"}), HasSubstr("--threads"));
  EXPECT_THAT(Error({"--log-level=loud"}), HasSubstr("--log-level"));
  EXPECT_THAT(Error({"--config", WriteFile("max-top-k = 0\n")}), HasSubstr("--max-top-k"));
  EXPECT_THAT(Error({"--config", "/no/such/file"}), HasSubstr("/no/such/file"));
  SetEnvironment("BITLM_MAX_BATCH_ROWS", "many");
  EXPECT_THAT(Error({}), HasSubstr("--max-batch-rows"));
}

TEST_F(ServerConfigTest, RefusesAnAddressThatHasAPort) {
  EXPECT_THAT(Error({"--grpc-address=127.0.0.1:50061"}), HasSubstr("the port is --grpc-port"));
  EXPECT_THAT(Error({"--http-address=localhost:80"}), HasSubstr("the port is --http-port"));
  EXPECT_THAT(Error({"--admin-address=[::1]:9"}), HasSubstr("the port is --admin-port"));
  EXPECT_EQ(Parse({"--grpc-address=::1"}).grpc_address, "::1");
  EXPECT_EQ(Parse({"--grpc-address=0.0.0.0"}).grpc_address, "0.0.0.0");
}

TEST_F(ServerConfigTest, RefusesAQueueThatTheLongestSentenceCannotEnter) {
  EXPECT_THAT(Error({"--max-queue-tokens=100", "--max-words-per-sentence=100"}),
              HasSubstr("--max-queue-tokens"));
  Parse({"--max-queue-tokens=101", "--max-words-per-sentence=100"});
}

TEST_F(ServerConfigTest, RefusesSettingsThatContradictEachOther) {
  EXPECT_THAT(Error({"--admin-address=0.0.0.0"}), HasSubstr("--admin-address"));
  EXPECT_THAT(Error({"--admin-address=localhost"}),
              HasSubstr("--admin-address"));  // Anything may resolve to it.
  for (const char* loopback :
       {"--admin-address=127.0.0.1", "--admin-address=127.1.2.3", "--admin-address=::1"}) {
    Parse({loopback});
  }
  EXPECT_THAT(Error({"--model-control-mode=explicit"}),
              HasSubstr("--admin-address or --load-models"));
  Parse({"--model-control-mode=explicit", "--load-models=a,b"});
  EXPECT_THAT(Error({"--load-models=a"}), HasSubstr("--model-control-mode explicit"));
  EXPECT_THAT(Error({"--model-control-mode=always"}), HasSubstr("always"));
  EXPECT_THAT(Error({"--tls-cert-file=c"}), HasSubstr("--tls-key-file"));
  EXPECT_THAT(Error({"--tls-key-file=k"}), HasSubstr("--tls-cert-file"));
  EXPECT_THAT(Error({"--tls-client-ca-file=a"}), HasSubstr("--tls-cert-file"));
  EXPECT_THAT(Error({"--stall-timeout-ms=100", "--max-queue-delay-ms=100"}),
              HasSubstr("--stall-timeout-ms"));
  Parse({"--stall-timeout-ms=0", "--max-queue-delay-ms=100"});
}

TEST_F(ServerConfigTest, HelpAndVersionPrintAndDoNotRun) {
  auto help = ParseServerCommand({"--help"});
  ASSERT_TRUE(help.ok());
  EXPECT_FALSE(help->run);
  EXPECT_THAT(help->output, HasSubstr("--max-queue-tokens"));
  EXPECT_THAT(help->output, HasSubstr("BITLM_GRPC_PORT"));
  auto version = ParseServerCommand({"--version"});
  ASSERT_TRUE(version.ok());
  EXPECT_FALSE(version->run);
  EXPECT_THAT(version->output, HasSubstr("bitlm-server "));
}

TEST_F(ServerConfigTest, PrintedConfigReadsBackAsItself) {
  const std::vector<std::string> args = {"--grpc-port=7", "--allow-failed-models",
                                         "--model-repository=with space", "--print-config"};
  const auto printed = ParseServerCommand(args);
  ASSERT_TRUE(printed.ok());
  EXPECT_FALSE(printed->run);
  EXPECT_THAT(printed->output, Not(HasSubstr("help")));
  const ServerConfig config = Parse({"--config", WriteFile(printed->output)});
  EXPECT_EQ(DescribeConfig(config), DescribeConfig(printed->config));
  EXPECT_EQ(config.model_repository, "with space");
}

TEST_F(ServerConfigTest, DescribesEverySettingInForce) {
  SetEnvironment("BITLM_GRPC_PORT", "9");  // Must not leak into the description.
  ServerConfig config;
  config.allow_failed_models = true;
  EXPECT_THAT(DescribeConfig(config), HasSubstr("grpc-port=50051"));
  EXPECT_THAT(DescribeConfig(config), HasSubstr("allow-failed-models=true"));
  EXPECT_THAT(DescribeConfig(config), HasSubstr("max-queue-tokens=65536"));
}

}  // namespace
}  // namespace bitlm
