// Concurrency: one text, one score; full queues, cancellation, deadlines, shutdown, health.
#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <map>
#include <thread>

#include "absl/strings/str_join.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/codegen/client_unary_call.h"
#include "tests/integration/http_get.h"
#include "tests/integration/server_fixture.h"

namespace bitlm {
namespace {

using ::testing::HasSubstr;

class ServerLoadTest : public ServerFixture {
 protected:
  std::future<grpc::Status> ScoreInBackground(const std::vector<std::string>& sentences,
                                              grpc::ClientContext* context = nullptr) {
    return std::async(std::launch::async, [this, sentences, context] {
      return Score(Sentences(sentences), context).first;
    });
  }
  // A metric's line ends in this value, at once or soon: gRPC counts a call after its answer.
  void ExpectMetric(const std::string& line) {
    std::string text;
    for (int i = 0; i < 1000; ++i) {
      text = HttpGet(server_->http_port(), "/metrics");
      if (text.find(line + "\n") != std::string::npos) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << line << " is not in\n" << text;
  }
};

TEST_F(ServerLoadTest, ConcurrentRequestsGetTheScoresOfSingleOnes) {
  config_.max_batch_rows = 8;  // Many batches, split levels.
  StartServer();
  const std::vector<std::string> sentences = TinySentences(200, 5);
  std::map<std::string, double> single;
  for (const std::string& sentence : sentences) {
    const auto [status, response] = Score(Sentences({sentence}));
    ASSERT_TRUE(status.ok()) << status.error_message();
    single[sentence] = response.scores(0).logprob();
  }
  std::atomic<int> compared = 0, different = 0;
  std::vector<std::thread> clients;
  for (uint64_t c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      RandomBits random(c);
      for (int round = 0; round < 10; ++round) {
        std::vector<std::string> batch;
        for (uint64_t n = 1 + random.Below(40); n > 0; --n) {
          batch.push_back(sentences[random.Below(sentences.size())]);
        }
        const auto [status, response] = Score(Sentences(batch));
        if (!status.ok()) ++different;
        for (int i = 0; i < response.scores_size(); ++i) {
          const double got = response.scores(i).logprob();
          const double expected = single.at(batch[static_cast<size_t>(i)]);
          if (std::memcmp(&got, &expected, sizeof(got)) != 0) ++different;
          ++compared;
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_GT(compared, 1000);
  EXPECT_EQ(different, 0);
}

TEST_F(ServerLoadTest, AFullQueueRefusesWithPushbackAndRecovers) {
  config_.max_queue_tokens = 22;
  config_.limits.max_words_per_sentence = 10;
  StartServer();
  gate_->Close();
  auto running = ScoreInBackground({"w1"});
  gate_->WaitForVisitor();
  auto waiting = ScoreInBackground({"w1 w2 w3 w4 w5 w6 w7 w8 w9", "w1 w2 w3 w4 w5 w6 w7 w8 w9"});
  ExpectMetric("bitlm_queue_tokens 22");
  grpc::ClientContext context;
  const auto [status, response] = Score(Sentences({"w1"}), &context);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("queue full"));
  const auto pushback = context.GetServerTrailingMetadata().find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, context.GetServerTrailingMetadata().end());
  EXPECT_GE(std::stoi(std::string(pushback->second.data(), pushback->second.size())), 10);
  ExpectMetric("bitlm_requests_rejected_total{reason=\"queue_full\"} 1");
  gate_->Open();
  EXPECT_TRUE(running.get().ok());
  EXPECT_TRUE(waiting.get().ok());
  ExpectAlive();
}

TEST_F(ServerLoadTest, ACancelledRequestLeavesTheQueueAtOnce) {
  StartServer();
  gate_->Close();
  auto running = ScoreInBackground({"w1"});
  gate_->WaitForVisitor();
  grpc::ClientContext context;
  auto waiting = ScoreInBackground({"w1 w2 w3"}, &context);
  ExpectMetric("bitlm_queue_tokens 6");
  context.TryCancel();
  EXPECT_EQ(waiting.get().error_code(), grpc::StatusCode::CANCELLED);
  ExpectMetric("bitlm_queue_tokens 2");
  ExpectMetric("bitlm_requests_in_flight 1");  // The one that stands at the gate.
  gate_->Open();
  EXPECT_TRUE(running.get().ok());
}

TEST_F(ServerLoadTest, ADeadlineEndsARequestThatWaits) {
  StartServer();
  gate_->Close();
  auto running = ScoreInBackground({"w1"});
  gate_->WaitForVisitor();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  EXPECT_EQ(ScoreInBackground({"w1 w2 w3"}, &context).get().error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  ExpectMetric("bitlm_queue_tokens 2");
  // As the header alone: this client does not cancel by itself, so the server's deadline it is.
  grpc::ClientContext header;
  header.AddMetadata("grpc-timeout", "100m");
  EXPECT_EQ(ScoreInBackground({"w1 w2 w3"}, &header).get().error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  ExpectMetric("bitlm_queue_tokens 2");
  ExpectMetric("bitlm_requests_rejected_total{reason=\"deadline\"} 2");
  gate_->Open();
  EXPECT_TRUE(running.get().ok());
  ExpectAlive();
}

TEST_F(ServerLoadTest, AnOldConnectionIsClosedAndItsCallsEnd) {
  config_.connections.max_connection_age_s = 1;
  StartServer();
  gate_->Close();
  auto running = ScoreInBackground({"w1"});
  gate_->WaitForVisitor();
  const auto limit = std::chrono::system_clock::now() + std::chrono::seconds(60);
  EXPECT_TRUE(channel_->WaitForStateChange(GRPC_CHANNEL_READY, limit));
  gate_->Open();
  EXPECT_TRUE(running.get().ok());
  ExpectAlive();  // On another connection.
}

TEST_F(ServerLoadTest, StopEndsWhatHasBegunAndRefusesTheRest) {
  StartServer();
  gate_->Close();
  auto running = ScoreInBackground({"w1"});
  gate_->WaitForVisitor();
  auto waiting = ScoreInBackground({"w2"});
  ExpectMetric("bitlm_queue_tokens 4");
  auto stopped = std::async(std::launch::async, [this] { return server_->Stop(); });
  grpc::Status refused;
  do {  // Until the drain has begun.
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    refused = Score(Sentences({"w3"}), &context).first;
  } while (refused.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(HttpGet(server_->http_port(), "/readyz"), HasSubstr("503"));
  EXPECT_THAT(HttpGet(server_->http_port(), "/healthz"), HasSubstr("200"));
  gate_->Open();
  EXPECT_TRUE(running.get().ok());
  EXPECT_TRUE(waiting.get().ok());
  EXPECT_TRUE(stopped.get());
}

TEST_F(ServerLoadTest, StopGivesUpAfterTheExitTimeout) {
  config_.exit_timeout_ms = 50;
  StartServer();
  gate_->Close();
  auto running = ScoreInBackground({"w1"});
  gate_->WaitForVisitor();
  auto waiting = ScoreInBackground({"w2"});
  ExpectMetric("bitlm_queue_tokens 4");
  auto stopped = std::async(std::launch::async, [this] { return server_->Stop(); });
  EXPECT_EQ(waiting.get().error_code(), grpc::StatusCode::UNAVAILABLE);
  gate_->Open();  // The step that runs is not interrupted, and is the last one.
  EXPECT_EQ(running.get().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(stopped.get());
}

// A call that the test drives by hand.
class ManualCall {
 public:
  ManualCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method)
      : stub_(channel), call_(stub_.PrepareCall(&context_, method, &queue_)) {
    call_->StartCall(nullptr);
    EXPECT_TRUE(Wait());
  }
  ~ManualCall() {
    context_.TryCancel();
    grpc::Status status;
    call_->Finish(&status, nullptr);
    Wait();
    queue_.Shutdown();
    Wait();
  }
  void Send(const google::protobuf::Message& request) {
    grpc::Slice slice(request.SerializeAsString());
    call_->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    EXPECT_TRUE(Wait());
  }
  grpc::ByteBuffer Receive() {
    grpc::ByteBuffer response;
    call_->Read(&response, nullptr);
    EXPECT_TRUE(Wait());
    return response;
  }
  grpc::health::v1::HealthCheckResponse::ServingStatus ReceiveHealth() {
    const grpc::ByteBuffer buffer = Receive();
    grpc::Slice slice;
    grpc::health::v1::HealthCheckResponse response;
    EXPECT_TRUE(buffer.DumpToSingleSlice(&slice).ok());
    EXPECT_TRUE(response.ParseFromArray(slice.begin(), static_cast<int>(slice.size())));
    return response.status();
  }

 private:
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

TEST_F(ServerLoadTest, AnOpenHealthWatchDoesNotDelayStop) {
  StartServer();
  ManualCall watch(channel_, "/grpc.health.v1.Health/Watch");
  watch.Send(grpc::health::v1::HealthCheckRequest());
  watch.Receive();
  const absl::Time start = absl::Now();
  EXPECT_TRUE(server_->Stop());
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(config_.exit_timeout_ms / 2));
}

TEST_F(ServerLoadTest, StopTellsThatAnAnswerCouldNotBeSent) {
  config_.exit_timeout_ms = 1000;
  StartServer();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // The window stays small.
  const auto channel = grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server_->grpc_port()),
                                                 grpc::InsecureChannelCredentials(), arguments);
  ManualCall call(channel, "/bitlm.v1.LanguageModelService/ScoreSentences");
  auto request = Sentences(std::vector<std::string>(4000, "w1 w2 w3 w4 w5 w6 w7 w8 w9"));
  request.mutable_options()->set_include_words(true);
  call.Send(request);  // And never receives.
  ExpectMetric("bitlm_sentences_scored_total{model=\"tiny\",version=\"2\"} 4000");
  EXPECT_FALSE(server_->Stop());
}

TEST_F(ServerLoadTest, HealthKnowsServerServicesAndModels) {
  StartServer();
  for (const char* service :
       {"", "bitlm.v1.LanguageModelService", "bitlm.v1.ModelService", "tiny"}) {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::health::v1::HealthCheckResponse response;
    grpc::ClientContext context;
    const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                           grpc::internal::RpcMethod::NORMAL_RPC);
    const grpc::Status status =
        grpc::internal::BlockingUnaryCall(channel_.get(), method, &context, request, &response);
    EXPECT_TRUE(status.ok()) << service << ": " << status.error_message();
    EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  }
}

TEST_F(ServerLoadTest, AHangingEngineIsSeenAndABusyOneIsNot) {
  config_.stall_timeout_ms = 300;
  StartServer();
  ManualCall watch(channel_, "/grpc.health.v1.Health/Watch");
  watch.Send(grpc::health::v1::HealthCheckRequest());
  EXPECT_EQ(watch.ReceiveHealth(), grpc::health::v1::HealthCheckResponse::SERVING);
  gate_->Close();
  auto running = ScoreInBackground({"w1"});
  EXPECT_EQ(watch.ReceiveHealth(), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  EXPECT_THAT(HttpGet(server_->http_port(), "/healthz"), HasSubstr("503"));
  EXPECT_THAT(HttpGet(server_->http_port(), "/readyz"), HasSubstr("503"));
  ExpectMetric("bitlm_engine_stalled 1");
  ExpectMetric("bitlm_model_ready{model=\"tiny\",version=\"2\"} 0");
  gate_->Open();
  EXPECT_TRUE(running.get().ok());
  EXPECT_EQ(watch.ReceiveHealth(), grpc::health::v1::HealthCheckResponse::SERVING);
  EXPECT_THAT(HttpGet(server_->http_port(), "/healthz"), HasSubstr("200"));
  ExpectMetric("bitlm_engine_stalled 0");
  // Much longer than the timeout, in batches that each are short.
  const std::string long_sentence = absl::StrJoin(std::vector<std::string>(4000, "w1"), " ");
  const absl::Time start = absl::Now();
  do {
    EXPECT_TRUE(Score(Sentences({long_sentence})).first.ok());
    EXPECT_THAT(HttpGet(server_->http_port(), "/healthz"), HasSubstr("200"));
  } while (absl::Now() - start < absl::Milliseconds(2 * config_.stall_timeout_ms));
}

TEST_F(ServerLoadTest, MetricsFollowTheRequests) {
  StartServer();
  ASSERT_TRUE(Score(Sentences({"w1 zebra", "w2"})).first.ok());
  ExpectMetric("bitlm_sentences_scored_total{model=\"tiny\",version=\"2\"} 2");
  ExpectMetric("bitlm_tokens_scored_total{model=\"tiny\",version=\"2\"} 5");
  ExpectMetric("bitlm_oov_tokens_total{model=\"tiny\",version=\"2\"} 1");
  ExpectMetric(absl::StrCat("bitlm_model_memory_bytes{kind=\"weights\",model=\"tiny\",",
                            "version=\"2\"} ", model_->weight_bytes()));
  ExpectMetric("bitlm_model_ready{model=\"tiny\",version=\"2\"} 1");
  ExpectMetric(
      "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"ScoreSentences\","
      "grpc_service=\"bitlm.v1.LanguageModelService\",grpc_type=\"unary\"} 1");
  ExpectMetric("bitlm_requests_in_flight 0");
}

TEST_F(ServerLoadTest, APortInUseIsAnError) {
  StartServer();
  ServerConfig config = config_;
  config.grpc_port = server_->grpc_port();
  EXPECT_THAT(Server::Start(config, {}).status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--grpc-port")));
  config = config_;
  config.http_port = server_->http_port();
  EXPECT_THAT(Server::Start(config, {}).status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--http-port")));
}

}  // namespace
}  // namespace bitlm
