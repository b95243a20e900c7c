// bitlm-server as a process: its command line, its signals, its end under load.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cpp/client.h"
#include "engine/model/model.h"
#include "tests/integration/http_get.h"
#include "tests/integration/running_server.h"
#include "tests/integration/tiny_repository.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using SteadyClock = std::chrono::steady_clock;

// Runs bitlm-server to its end.
int RunToEnd(const std::vector<std::string>& flags, std::string* output, std::string* errors) {
  std::vector<std::string> command = {Program("bitlm-server")};
  command.insert(command.end(), flags.begin(), flags.end());
  Process process(command);
  const int status = process.Wait();
  *output = process.output();
  *errors = process.errors();
  return status;
}

TEST(ServerProcessTest, CommandLineErrorsExitWithTwo) {
  std::string output, errors;
  EXPECT_EQ(RunToEnd({"--no-such-flag"}, &output, &errors), 2);
  EXPECT_THAT(errors, HasSubstr("--no-such-flag"));
  EXPECT_THAT(output, IsEmpty());
  EXPECT_EQ(RunToEnd({"--grpc-port=many"}, &output, &errors), 2);
  EXPECT_EQ(RunToEnd({"--version"}, &output, &errors), 0);
  EXPECT_THAT(output, HasSubstr("bitlm-server "));
  EXPECT_EQ(RunToEnd({"--help"}, &output, &errors), 0);
  EXPECT_THAT(output, HasSubstr("--model-repository"));
}

TEST(ServerProcessTest, AnUnknownInstructionSetExitsWithTwo) {
  Process process({Program("bitlm-server"), "--model-repository=x"},
                  {.input = "", .environment = {"BITLM_CPU_ISA=quantum"}});
  EXPECT_EQ(process.Wait(), 2);
  EXPECT_THAT(process.errors(), HasSubstr("BITLM_CPU_ISA"));
}

TEST(ServerProcessTest, MissingModelsExitWithOneAndSayWhere) {
  TemporaryDirectory empty;
  std::string output, errors;
  const std::vector<std::string> ports = {"--grpc-port=0", "--http-port=0"};
  EXPECT_EQ(RunToEnd({"--model-repository=/no/such/place", ports[0], ports[1]}, &output, &errors),
            1);
  EXPECT_THAT(errors, HasSubstr("/no/such/place"));
  EXPECT_EQ(RunToEnd({absl::StrCat("--model-repository=", empty.path()), ports[0], ports[1]},
                     &output, &errors),
            1);
  EXPECT_THAT(errors, HasSubstr(empty.path()));
}

TEST(ServerProcessTest, ABadModelStopsTheStartUnlessAllowed) {
  TinyRepository repository;
  std::ofstream(repository.ModelDirectory(3) + "/model.safetensors", std::ios::app) << "x";
  std::string output, errors;
  const std::string flag = absl::StrCat("--model-repository=", repository.path());
  EXPECT_EQ(RunToEnd({flag, "--grpc-port=0", "--http-port=0"}, &output, &errors), 1);
  EXPECT_THAT(errors, HasSubstr("model.safetensors"));
  EXPECT_THAT(errors, HasSubstr("--allow-failed-models"));

  RunningServer server(repository.path(), {"--allow-failed-models"});
  const auto models = client::Client({.target = server.target()}).ListModels();
  ASSERT_TRUE(models.ok()) << models.status();
  ASSERT_EQ(models->size(), 1u);
  EXPECT_EQ((*models)[0].version, 1);
}

TEST(ServerProcessTest, RequestsWithoutAModelGetTheDefaultOne) {
  TinyRepository repository;
  std::filesystem::copy(repository.path() + "/tiny", repository.path() + "/other",
                        std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(repository.path() + "/other/3");
  RunningServer server(repository.path(), {"--default-model=other"});
  const auto result = client::Client({.target = server.target()}).Score({"w1"});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->model, "other");

  std::string output, errors;
  EXPECT_EQ(RunToEnd({absl::StrCat("--model-repository=", repository.path()), "--grpc-port=0",
                      "--http-port=0", "--default-model=another"},
                     &output, &errors),
            1);
  EXPECT_THAT(errors, HasSubstr("--default-model: another"));
}

TEST(ServerProcessTest, AModelThatCannotBeServedYetIsKnown) {
  TinyRepository repository;
  const Model model = RandomModel(UnservableConfig(), 1);
  ASSERT_THAT(WriteModel(model, repository.ModelDirectory(5)), IsOk());
  RunningServer server(repository.path(), {"--allow-failed-models"});
  const client::Client client({.target = server.target()});
  EXPECT_THAT(client.Score({"w1"}), IsOk());  // The highest that is served.
  const absl::Status status = client.Score({"w1"}, {.model_version = 5}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("activation_planes: ")));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr(repository.path())));
}

TEST(ServerProcessTest, AVersionWithoutAConfigIsSkippedWithAWarning) {
  TinyRepository repository;
  std::filesystem::create_directory(repository.path() + "/tiny/9");
  RunningServer server(repository.path());
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(server.port_file()));
  EXPECT_THAT(server.process().errors(), HasSubstr("tiny/9: skipped, it has no config.json"));
}

TEST(ServerProcessTest, ASignalWhileModelsLoadEndsAtOnce) {
  TinyRepository repository;
  const std::string file = repository.ModelDirectory(3) + "/vocab.txt";
  ASSERT_TRUE(std::filesystem::remove(file));
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);  // Loading waits for what nobody writes.
  TemporaryDirectory directory;
  const std::string port_file = directory.Path("ports");
  std::ofstream(port_file) << "grpc 1\nhttp 2\n";  // An earlier run's.
  Process process({Program("bitlm-server"), "--model-repository", repository.path(),
                   "--grpc-port=0", "--http-port=0", "--port-file", port_file});
  int writer = -1;
  for (int i = 0; writer < 0 && i < 6000; ++i) {  // Until the server reads.
    writer = open(file.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (writer < 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_GE(writer, 0);
  EXPECT_FALSE(std::filesystem::exists(port_file));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 128 + SIGTERM);
  close(writer);
}

TEST(ServerProcessTest, HttpTellsHealthReadinessAndMetrics) {
  TinyRepository repository;
  RunningServer server(repository.path());
  EXPECT_THAT(HttpGet(server.http_port(), "/healthz"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet(server.http_port(), "/readyz"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet(server.http_port(), "/metrics"), HasSubstr("bitlm_build_info"));
  EXPECT_THAT(HttpGet(server.http_port(), "/"), HasSubstr("model tiny version 3"));
}

TEST(ServerProcessTest, LogsJsonOnRequest) {
  TinyRepository repository;
  RunningServer server(repository.path(), {"--log-format=json"});
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
  EXPECT_THAT(server.process().errors(), HasSubstr("\"level\":\"info\""));
  EXPECT_THAT(server.process().errors(), HasSubstr("max-queue-tokens=65536"));
}

TEST(ServerProcessTest, ASecondSignalEndsAtOnce) {
  TinyRepository repository;
  RunningServer server(repository.path(), {"--drain-delay-ms=600000"});
  server.process().Signal(SIGTERM);
  while (HttpGet(server.http_port(), "/readyz").find("503") == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  server.process().Signal(SIGINT);
  EXPECT_EQ(server.process().Wait(), 128 + SIGINT);
}

// What clients saw of a server that stopped under their load.
struct LoadResult {
  std::atomic<int> answered = 0;
  std::atomic<int> answered_after_signal = 0;
  std::atomic<int> failed_begun_before = 0;  // The request had begun before the signal.
  std::atomic<int> refused = 0;              // Begun after it: UNAVAILABLE.
  std::atomic<int> failed_otherwise = 0;     // Begun after it: anything else.
};

// `clients` threads send requests over `target` until `stop`; `signal_time` is 0 before the signal.
void Load(const std::string& target, int clients, const std::atomic<bool>& stop,
          const std::atomic<int64_t>& signal_time, LoadResult* result,
          std::vector<std::thread>* threads) {
  for (int c = 0; c < clients; ++c) {
    threads->emplace_back([=, &stop, &signal_time] {
      const client::Client client({.target = target, .timeout = absl::Seconds(60)});
      const std::vector<std::string> sentences = TinySentences(30, static_cast<uint64_t>(c));
      while (!stop) {
        const int64_t begun = SteadyClock::now().time_since_epoch().count();
        const absl::Status status = client.Score(sentences).status();
        const int64_t signalled = signal_time;
        const bool before = signalled == 0 || begun < signalled;
        if (status.ok()) {
          ++result->answered;
          if (signalled != 0) ++result->answered_after_signal;
        } else if (before) {
          ++result->failed_begun_before;
        } else if (absl::IsUnavailable(status)) {
          ++result->refused;
        } else {
          ++result->failed_otherwise;
        }
      }
    });
  }
}

void WaitForAnswers(const LoadResult& result, int count) {
  while (result.answered < count) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST(ServerProcessTest, SigtermUnderLoadFailsNoRequestInFlight) {
  TinyRepository repository;
  RunningServer server(repository.path());
  std::atomic<bool> stop = false;
  std::atomic<int64_t> signal_time = 0;
  LoadResult result;
  std::vector<std::thread> threads;
  Load(server.target(), 6, stop, signal_time, &result, &threads);
  WaitForAnswers(result, 100);
  signal_time = SteadyClock::now().time_since_epoch().count();
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().errors();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(result.failed_begun_before, 0);
  EXPECT_EQ(result.failed_otherwise, 0);
  EXPECT_GT(result.answered_after_signal, 0);
}

TEST(ServerProcessTest, ClientsOfTwoServersDoNotNoticeThatOneStops) {
  TinyRepository repository;
  RunningServer first(repository.path()), second(repository.path());
  std::atomic<bool> stop = false;
  std::atomic<int64_t> signal_time = 0;
  LoadResult result;
  std::vector<std::thread> threads;
  Load(absl::StrCat("ipv4:", first.target(), ",", second.target()), 6, stop, signal_time, &result,
       &threads);
  WaitForAnswers(result, 100);
  signal_time = SteadyClock::now().time_since_epoch().count();
  first.process().Signal(SIGTERM);
  EXPECT_EQ(first.process().Wait(), 0) << first.process().errors();
  WaitForAnswers(result, result.answered + 100);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(result.failed_begun_before, 0);
  EXPECT_EQ(result.refused, 0);
  EXPECT_EQ(result.failed_otherwise, 0);
}

}  // namespace
}  // namespace bitlm
