// bitlm-server as a process with TLS and tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "clients/cpp/client.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "tests/integration/http_get.h"
#include "tests/integration/running_server.h"
#include "tests/integration/tiny_repository.h"
#include "tests/support/certificates.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kToken[] = "0123456789abcdef0123456789abcdef";

class ServerSecurityProcessTest : public ::testing::Test {
 protected:
  ServerSecurityProcessTest() {
    Write("ca.pem", ca_.certificate);
    WriteCertificate(MakeCertificate(ca_, "first", 10));
    const KeyPair client = MakeCertificate(ca_, "client", 10);
    Write("client.pem", client.certificate);
    Write("client-key.pem", client.key);
    Write("tokens", absl::StrCat(kToken, "\n"));
  }
  // As deployments do it: whole files take the place of the old ones.
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_.Path("new")) << text;
    std::rename(directory_.Path("new").c_str(), directory_.Path(name).c_str());
  }
  void WriteCertificate(const KeyPair& pair) {
    Write("cert.pem", pair.certificate);
    Write("key.pem", pair.key);
  }
  std::vector<std::string> TlsFlags() const {
    return {"--tls-cert-file=" + directory_.Path("cert.pem"),
            "--tls-key-file=" + directory_.Path("key.pem"), "--tls-reload-interval-s=1"};
  }
  client::Client MakeClient(const RunningServer& server, client::Credentials credentials) const {
    return client::Client({.target = server.target(),
                           .timeout = absl::Seconds(5),
                           .credentials = std::move(credentials)});
  }
  client::Credentials Tls() const {
    client::Credentials credentials;
    credentials.tls = true;
    credentials.ca_file = directory_.Path("ca.pem");
    return credentials;
  }
  client::Credentials Token(const std::string& token) const {
    client::Credentials credentials;
    credentials.token = token;
    return credentials;
  }

  TemporaryDirectory directory_;
  TinyRepository repository_;
  const KeyPair ca_ = MakeCa("ca");
};

TEST_F(ServerSecurityProcessTest, SpeaksTls) {
  RunningServer server(repository_.path(), TlsFlags());
  EXPECT_THAT(MakeClient(server, Tls()).Score({"w1"}), IsOk());
  EXPECT_THAT(MakeClient(server, {}).Score({"w1"}), Not(IsOk()));  // In the clear.
  client::Credentials stranger = Tls();
  Write("other-ca.pem", MakeCa("other").certificate);
  stranger.ca_file = directory_.Path("other-ca.pem");
  EXPECT_THAT(MakeClient(server, stranger).Score({"w1"}), Not(IsOk()));
  EXPECT_THAT(HttpGet(server.http_port(), "/metrics"),
              HasSubstr("bitlm_tls_certificate_expiry_timestamp_seconds"));
}

TEST_F(ServerSecurityProcessTest, AsksClientsForCertificates) {
  std::vector<std::string> flags = TlsFlags();
  flags.push_back("--tls-client-ca-file=" + directory_.Path("ca.pem"));
  RunningServer server(repository_.path(), flags);
  EXPECT_THAT(MakeClient(server, Tls()).Score({"w1"}), Not(IsOk()));
  client::Credentials client = Tls();
  client.certificate_file = directory_.Path("client.pem");
  client.key_file = directory_.Path("client-key.pem");
  EXPECT_THAT(MakeClient(server, client).Score({"w1"}), IsOk());
  const KeyPair other = MakeCertificate(MakeCa("other"), "client", 10);
  Write("client.pem", other.certificate);
  Write("client-key.pem", other.key);
  EXPECT_THAT(MakeClient(server, client).Score({"w1"}), Not(IsOk()));
}

TEST_F(ServerSecurityProcessTest, TakesNewCertificatesWithoutDroppingConnections) {
  RunningServer server(repository_.path(), TlsFlags());
  std::atomic<bool> stop = false;
  std::atomic<int> answered = 0, failed = 0;
  std::vector<std::thread> threads;
  for (int c = 0; c < 2; ++c) {
    threads.emplace_back([&] {
      const client::Client client = MakeClient(server, Tls());
      while (!stop) {
        ++(client.Score({"w1 w2"}).ok() ? answered : failed);
      }
    });
  }
  // Clients that begin now, and trust another CA, tell when the new certificate is there.
  const KeyPair new_ca = MakeCa("new");
  Write("new-ca.pem", new_ca.certificate);
  WriteCertificate(MakeCertificate(new_ca, "second", 20));
  client::Credentials credentials = Tls();
  credentials.ca_file = directory_.Path("new-ca.pem");
  bool renewed = false;
  for (int i = 0; i < 30 && !renewed; ++i) {
    renewed = client::Client({.target = server.target(),
                              .timeout = absl::Milliseconds(500),
                              .credentials = credentials})
                  .Score({"w1"})
                  .ok();
  }
  EXPECT_TRUE(renewed);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(answered, 100);
  EXPECT_EQ(failed, 0);
}

TEST_F(ServerSecurityProcessTest, BadFilesStopTheStart) {
  const auto start = [this](const std::string& flag) {
    std::vector<std::string> command = {Program("bitlm-server"), "--model-repository",
                                        repository_.path(),      "--grpc-port=0",
                                        "--http-port=0",         flag};
    for (const std::string& tls : TlsFlags()) command.push_back(tls);
    Process process(command);
    EXPECT_EQ(process.Wait(), 1) << flag;
    return process.errors();
  };
  EXPECT_THAT(start("--auth-token-file=" + directory_.Path("no-tokens")), HasSubstr("no-tokens"));
  EXPECT_THAT(start("--tls-client-ca-file=" + directory_.Path("no-ca")), HasSubstr("no-ca"));
  Write("key.pem", ca_.key);
  EXPECT_THAT(start("--log-level=info"), HasSubstr("is not the key of"));
}

using Metadata = std::vector<std::pair<std::string, std::string>>;

// Calls a method once, without a client library. OK: there was an answer.
grpc::StatusCode Call(const RunningServer& server, const std::string& method,
                      const Metadata& metadata, const std::string& request = "") {
  grpc::GenericStub stub(grpc::CreateChannel(server.target(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
  grpc::CompletionQueue queue;
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  wait();
  const grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  wait();
  grpc::ByteBuffer response;
  call->Read(&response, nullptr);
  if (wait()) return grpc::StatusCode::OK;  // Of a stream, too, which goes on.
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return status.error_code();
}

grpc::StatusCode CallWithToken(const RunningServer& server, const std::string& method,
                               const std::string& token) {
  return Call(server, method, {{"authorization", "Bearer " + token}});
}

TEST_F(ServerSecurityProcessTest, WithoutATokenOnlyHealthAnswers) {
  RunningServer server(repository_.path(), {"--auth-token-file=" + directory_.Path("tokens"),
                                            "--admin-address=127.0.0.1", "--admin-port=0"});
  using grpc::StatusCode;
  for (const char* method :
       {"LanguageModelService/ScoreSentences", "LanguageModelService/NextWords",
        "ModelService/ListModels", "ModelService/DescribeModel", "ModelService/GetServerInfo"}) {
    const std::string path = absl::StrCat("/bitlm.v1.", method);
    EXPECT_EQ(Call(server, path, {}), StatusCode::UNAUTHENTICATED) << method;
    EXPECT_EQ(CallWithToken(server, path, "0123456789abcdef0123456789abcdeF"),
              StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(CallWithToken(server, path, kToken), StatusCode::OK) << method;
  }
  EXPECT_EQ(Call(server, "/grpc.health.v1.Health/Check", {}), StatusCode::OK);
  EXPECT_EQ(Call(server, "/grpc.health.v1.Health/Watch", {}), StatusCode::OK);
  EXPECT_NE(CallWithToken(server, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                          kToken),
            StatusCode::OK);

  Process refused({Program("bitlm"), "admin", "drain", "--admin-server", server.admin_target()});
  EXPECT_EQ(refused.Wait(), 1);
  EXPECT_THAT(refused.errors(), HasSubstr("token"));
  Process allowed(
      {Program("bitlm"), "admin", "log-level", "info", "--admin-server", server.admin_target()},
      {.input = "", .environment = {absl::StrCat("BITLM_TOKEN=", kToken)}});
  EXPECT_EQ(allowed.Wait(), 0) << allowed.errors();
  EXPECT_THAT(HttpGet(server.http_port(), "/metrics"),
              HasSubstr("bitlm_requests_rejected_total{reason=\"unauthenticated\"} 10"));
}

TEST_F(ServerSecurityProcessTest, SighupReadsTokensAgain) {
  RunningServer server(repository_.path(), {"--auth-token-file=" + directory_.Path("tokens"),
                                            "--tls-reload-interval-s=86400"});
  EXPECT_THAT(MakeClient(server, Token(kToken)).Score({"w1"}), IsOk());
  EXPECT_THAT(MakeClient(server, {}).Score({"w1"}), StatusIs(absl::StatusCode::kUnauthenticated));
  const std::string other = "ffffffffffffffffffff";
  Write("tokens", other);
  server.process().Signal(SIGHUP);
  absl::Status status;
  for (int i = 0; i < 500; ++i) {
    status = MakeClient(server, Token(other)).Score({"w1"}).status();
    if (status.ok()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_THAT(status, IsOk());
  EXPECT_THAT(MakeClient(server, Token(kToken)).Score({"w1"}),
              StatusIs(absl::StatusCode::kUnauthenticated));
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
  EXPECT_THAT(server.process().errors(), AllOf(Not(HasSubstr(kToken)), Not(HasSubstr(other))));
}

TEST_F(ServerSecurityProcessTest, WarnsWhenItListensToTheWorldInTheClear) {
  RunningServer server(repository_.path(), {"--grpc-address=0.0.0.0"});
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
  EXPECT_THAT(server.process().errors(), HasSubstr("without TLS and without tokens"));
}

TEST_F(ServerSecurityProcessTest, LogsRequestsWithTheirCallersIdsAndNeverTheirText) {
  RunningServer server(repository_.path(), {"--log-requests=1", "--log-format=json"});
  const std::string request = "\x1a\x06secret";  // sentences: "secret"
  EXPECT_EQ(Call(server, "/bitlm.v1.LanguageModelService/ScoreSentences",
                 {{"x-request-id", "call-17"},
                  {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}},
                 request),
            grpc::StatusCode::OK);
  EXPECT_THAT(MakeClient(server, {}).Score({"secret"}, {.model = "secret"}), Not(IsOk()));
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
  EXPECT_THAT(
      server.process().errors(),
      AllOf(
          HasSubstr("\"message\":\"request\",\"request_id\":\"call-17\""),
          HasSubstr("\"method\":\"bitlm.v1.LanguageModelService/ScoreSentences\",\"code\":\"OK\""),
          HasSubstr("\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\""),
          HasSubstr("\"code\":\"NOT_FOUND\""), Not(HasSubstr("secret"))));
}

}  // namespace
}  // namespace bitlm
