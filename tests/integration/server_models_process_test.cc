// bitlm-server as a process whose models change: polling, signals, the admin service.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cpp/client.h"
#include "engine/base/mutex.h"
#include "engine/model/model.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/sentence_scorer.h"
#include "tests/integration/http_get.h"
#include "tests/integration/running_server.h"
#include "tests/integration/tiny_repository.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

Model TinyModel(int64_t version) {
  return RandomModel(TinyConfig("bllm", 50, 24, 20), static_cast<uint64_t>(version));
}

// Writes version `version` beside its place and moves it there, as deployments do.
void Deploy(const TinyRepository& repository, int version) {
  const std::string staging = repository.path() + "/.staging";
  ASSERT_THAT(WriteModel(TinyModel(version), staging), IsOk());
  fs::rename(staging, repository.ModelDirectory(version));
}

bool WaitForVersion(const client::Client& client, int64_t version) {
  for (int i = 0; i < 3000; ++i) {
    const auto result = client.Score({"w1"});
    if (result.ok() && result->model_version == version) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// Runs `bitlm admin` to its end.
int Admin(const RunningServer& server, std::vector<std::string> arguments, std::string* output) {
  std::vector<std::string> command = {Program("bitlm"), "admin", "--admin-server",
                                      server.admin_target()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Process process(command);
  const int status = process.Wait();
  *output = process.output() + process.errors();
  return status;
}

TEST(ServerModelsProcessTest, SwapsUnderLoadFailNoRequestAndMixNoScores) {
  TinyRepository repository;
  RunningServer server(repository.path(), {"--model-control-mode=poll",
                                           "--model-poll-interval-ms=100", "--latest-versions=1"});
  const std::vector<std::string> sentences = TinySentences(20, 1);
  constexpr int kLast = 18;
  // What each version answers alone.
  std::map<int64_t, std::vector<double>> expected;
  for (int64_t version = 3; version <= kLast; ++version) {
    const auto model = *MakeCpuLanguageModel(std::make_shared<const Model>(TinyModel(version)));
    std::vector<TokenizedSentence> tokenized;
    for (const std::string& sentence : sentences) {
      tokenized.push_back(*Tokenize(model->model(), sentence));
    }
    std::vector<ScoreItem> items;
    for (const TokenizedSentence& sentence : tokenized) items.push_back({&sentence, {}});
    for (const SentenceScore& score : SentenceScorer(model).Score(items, nullptr)) {
      expected[version].push_back(score.logprob);
    }
  }
  std::atomic<bool> stop = false;
  std::atomic<int> answered = 0, failed = 0, wrong = 0;
  std::vector<std::thread> threads;
  for (int c = 0; c < 4; ++c) {
    threads.emplace_back([&] {
      const client::Client client({.target = server.target()});
      while (!stop) {
        const auto result = client.Score(sentences);
        if (!result.ok()) {
          ++failed;
          continue;
        }
        ++answered;
        const std::vector<double>& scores = expected.at(result->model_version);
        for (size_t i = 0; i < sentences.size(); ++i) {
          if (std::memcmp(&scores[i], &result->scores[i].logprob, sizeof(double)) != 0) ++wrong;
        }
      }
    });
  }
  const client::Client client({.target = server.target()});
  for (int version = 4; version <= kLast; ++version) {
    Deploy(repository, version);
    EXPECT_TRUE(WaitForVersion(client, version)) << version;
    fs::remove_all(repository.ModelDirectory(version - 1));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(answered, 100);
  const std::string metrics = HttpGet(server.http_port(), "/metrics");
  EXPECT_THAT(metrics, HasSubstr("bitlm_model_swaps_total{result=\"failed\"} 0"));
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().errors();
}

TEST(ServerModelsProcessTest, SighupLooksAtTheRepository) {
  TinyRepository repository;
  RunningServer server(repository.path(),
                       {"--model-control-mode=poll", "--model-poll-interval-ms=86400000"});
  Deploy(repository, 7);
  server.process().Signal(SIGHUP);
  EXPECT_TRUE(WaitForVersion(client::Client({.target = server.target()}), 7));
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().errors();
}

TEST(ServerModelsProcessTest, SighupDoesNotEndAServerOfFixedModels) {
  TinyRepository repository;
  RunningServer server(repository.path());
  server.process().Signal(SIGHUP);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_THAT(client::Client({.target = server.target()}).Score({"w1"}), IsOk());
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().errors();
}

TEST(ServerModelsProcessTest, TheAdminServiceLoadsAndUnloads) {
  TinyRepository repository;
  RunningServer server(repository.path(), {"--model-control-mode=explicit",
                                           "--admin-address=127.0.0.1", "--admin-port=0"});
  EXPECT_THAT(HttpGet(server.http_port(), "/readyz"), HasSubstr("503"));  // Nothing is loaded.
  const client::Client client({.target = server.target(), .timeout = absl::Seconds(10)});
  std::string output;
  EXPECT_EQ(Admin(server, {"load", "tiny", "--model-version", "1"}, &output), 0) << output;
  EXPECT_THAT(HttpGet(server.http_port(), "/readyz"), HasSubstr("200"));
  EXPECT_TRUE(WaitForVersion(client, 1));
  EXPECT_EQ(Admin(server, {"load", "tiny", "--model-version", "3"}, &output), 0) << output;
  EXPECT_TRUE(WaitForVersion(client, 3));

  std::ofstream(repository.ModelDirectory(1) + "/model.safetensors", std::ios::app) << "x";
  EXPECT_EQ(Admin(server, {"load", "tiny", "--model-version", "1"}, &output), 1);
  EXPECT_THAT(output, HasSubstr("model.safetensors"));
  EXPECT_THAT(output, Not(HasSubstr(repository.path())));
  EXPECT_THAT(client.Score({"w1"}, {.model_version = 1}), IsOk());  // The good one stays.
  EXPECT_EQ(Admin(server, {"reload"}, &output), 0) << output;
  EXPECT_THAT(output, HasSubstr("failed: tiny version 1"));

  for (const char* name : {"../tiny", "/etc", "", "."}) {
    EXPECT_EQ(Admin(server, {"load", name}, &output), 1);
    EXPECT_THAT(output, HasSubstr("model: ")) << name;
  }
  EXPECT_EQ(Admin(server, {"unload", "other"}, &output), 1);
  EXPECT_EQ(Admin(server, {"unload", "tiny"}, &output), 0) << output;
  EXPECT_THAT(HttpGet(server.http_port(), "/readyz"), HasSubstr("503"));
  EXPECT_EQ(Admin(server, {"log-level", "debug"}, &output), 0) << output;
  EXPECT_THAT(output, HasSubstr("was info"));
  EXPECT_EQ(Admin(server, {"log-level", "loud"}, &output), 1);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().errors();
}

TEST(ServerModelsProcessTest, TheAdminServiceDrainsAndResumes) {
  TinyRepository repository;
  RunningServer server(repository.path(), {"--admin-address=127.0.0.1", "--admin-port=0"});
  const client::Client client({.target = server.target(), .timeout = absl::Seconds(10)});
  std::string output;
  EXPECT_EQ(Admin(server, {"load", "tiny"}, &output), 1);
  EXPECT_THAT(output, HasSubstr("--model-control-mode explicit"));
  EXPECT_EQ(Admin(server, {"drain"}, &output), 0) << output;
  EXPECT_THAT(HttpGet(server.http_port(), "/readyz"), HasSubstr("503"));
  EXPECT_THAT(HttpGet(server.http_port(), "/healthz"), HasSubstr("200"));
  EXPECT_EQ(Admin(server, {"resume"}, &output), 0) << output;
  EXPECT_THAT(HttpGet(server.http_port(), "/readyz"), HasSubstr("200"));
  EXPECT_THAT(client.Score({"w1"}), IsOk());
}

TEST(ServerModelsProcessTest, AdminOnlyOnLoopback) {
  TinyRepository repository;
  Process process({Program("bitlm-server"), "--model-repository", repository.path(),
                   "--admin-address=0.0.0.0"});
  EXPECT_EQ(process.Wait(), 2);
  EXPECT_THAT(process.errors(), HasSubstr("--admin-address"));
}

TEST(ServerModelsProcessTest, ServesWithClosedStandardStreams) {
  TinyRepository repository;
  TemporaryDirectory directory;
  const std::string ports = directory.Path("ports");
  // Otherwise a socket would take number 2, and clients would get the log.
  Process shell(
      {"/bin/sh", "-c",
       absl::StrCat("exec ", Program("bitlm-server"), " --model-repository ", repository.path(),
                    " --grpc-port=0 --http-port=0 --port-file ", ports, " <&- >&- 2>&-")});
  int grpc_port = 0;
  for (int i = 0; i < 3000 && grpc_port == 0; ++i) {
    std::string name;
    std::ifstream(ports) >> name >> grpc_port;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const client::Client client({.target = absl::StrCat("127.0.0.1:", grpc_port)});
  EXPECT_THAT(client.Score({"w1"}), IsOk());
  shell.Signal(SIGTERM);
  EXPECT_EQ(shell.Wait(), 0);
}

}  // namespace
}  // namespace bitlm
