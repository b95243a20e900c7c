#include "server/metrics/server_metrics.h"

#include <civetweb.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/metrics/http_server.h"

namespace bitlm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(ServerMetricsTest, ExposesTheCatalogue) {
  ServerMetrics metrics("1.2.3", "avx2_fma");
  std::shared_ptr<ModelMetrics> model = metrics.AddModel({.name = "english",
                                                          .version = 2,
                                                          .preset = "bllm",
                                                          .device = "cpu:portable",
                                                          .weight_bytes = 3000000,
                                                          .vocabulary_bytes = 400,
                                                          .load_time = absl::Milliseconds(250)});
  metrics.SetModelReady("english", 2, true);
  model->OnScored(3, 20, 2, 15);
  model->OnNextWords(4);
  metrics.OnCallStarted("bitlm.v1.ModelService", "ListModels");
  metrics.OnCallStarted("bitlm.v1.ModelService", "ListModels");
  metrics.OnCallHandled("bitlm.v1.ModelService", "ListModels", "OK", absl::Milliseconds(3));
  metrics.OnRejected(RejectReason::kQueueFull);
  metrics.SetModelFailed("broken", 1, true);
  metrics.SetModelFailed("mended", 1, true);
  metrics.SetModelFailed("mended", 1, false);
  metrics.OnModelSwap(ModelSwap::kReplaced);
  metrics.SetEngineStalled(true);
  metrics.OnQueueTokens(77);
  metrics.OnBatch(100, {absl::Milliseconds(1)});
  model->OnComputed(absl::Milliseconds(30));
  metrics.OnGivenUp(0);
  metrics.OnGivenUp(5);
  for (const size_t bytes : {size_t{10}, size_t{4000}}) {  // Counters go on from what they had.
    metrics.OnStateCache({.hits = 5,
                          .misses = 6,
                          .reused_tokens = 70,
                          .evictions = 8,
                          .entries = 9,
                          .bytes = bytes});
  }
  const std::string text = metrics.Expose();
  EXPECT_THAT(text, Not(HasSubstr("mended")));
  for (const char* line :
       {"bitlm_build_info{cpu=\"avx2_fma\",version=\"1.2.3\"} 1",
        "bitlm_model_ready{model=\"english\",version=\"2\"} 1",
        "bitlm_model_memory_bytes{kind=\"weights\",model=\"english\",version=\"2\"} 3000000",
        "bitlm_model_memory_bytes{kind=\"vocabulary\",model=\"english\",version=\"2\"} 400",
        "bitlm_model_load_duration_seconds{model=\"english\",version=\"2\"} 0.25",
        "bitlm_sentences_scored_total{model=\"english\",version=\"2\"} 3",
        "bitlm_tokens_scored_total{model=\"english\",version=\"2\"} 20",
        "bitlm_oov_tokens_total{model=\"english\",version=\"2\"} 2",
        "bitlm_scoring_steps_total{model=\"english\",version=\"2\"} 15",
        "bitlm_next_word_contexts_total{model=\"english\",version=\"2\"} 4",
        "bitlm_state_cache_lookups_total{result=\"hit\"} 5",
        "bitlm_state_cache_lookups_total{result=\"miss\"} 6",
        "bitlm_state_cache_reused_tokens_total 70",
        "bitlm_state_cache_evictions_total 8",
        "bitlm_state_cache_entries 9",
        "bitlm_state_cache_bytes 4000",
        "bitlm_requests_in_flight 1",
        "bitlm_requests_rejected_total{reason=\"queue_full\"} 1",
        "bitlm_requests_rejected_total{reason=\"draining\"} 0",
        "bitlm_queue_tokens 77",
        "bitlm_batches_total 1",
        "bitlm_batch_rows_sum 100",
        "bitlm_requests_cancelled_total{stage=\"queued\"} 1",
        "bitlm_requests_cancelled_total{stage=\"running\"} 1",
        "bitlm_wasted_steps_total 5",
        "bitlm_compute_duration_seconds_count{kernel=\"cpu:portable\"} 1",
        "bitlm_prefix_tree_saved_steps_total{model=\"english\",version=\"2\"} 5",
        "bitlm_model_failed{model=\"broken\",version=\"1\"} 1",
        "bitlm_model_swaps_total{result=\"replaced\"} 1",
        "bitlm_engine_stalled 1",
        "bitlm_gpu_memory_bytes 0",
        "bitlm_queue_wait_seconds_count 1",
        "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"ListModels\","
        "grpc_service=\"bitlm.v1.ModelService\",grpc_type=\"unary\"} 1",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total "}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

// Sends one request and returns the whole answer.
std::string Ask(int port, const std::string& request) {
  char error[200] = "";
  mg_connection* connection = mg_connect_client("127.0.0.1", port, 0, error, sizeof(error));
  if (connection == nullptr) return std::string("cannot connect: ") + error;
  mg_write(connection, request.data(), request.size());
  std::string answer;
  if (mg_get_response(connection, error, sizeof(error), 10000) >= 0) {
    answer = std::to_string(mg_get_response_info(connection)->status_code) + "\n";
    char buffer[1000];
    for (int n = 0; (n = mg_read(connection, buffer, sizeof(buffer))) > 0;) {
      answer.append(buffer, static_cast<size_t>(n));
    }
  }
  mg_close_connection(connection);
  return answer;
}

TEST(ServerMetricsTest, AModelsSeriesGoWithItsLastUser) {
  ServerMetrics metrics("1", "cpu");
  ModelFacts facts;
  facts.name = "english";
  facts.version = 2;
  facts.preset = "bllm";
  std::shared_ptr<ModelMetrics> old = metrics.AddModel(facts);
  facts.preset = "belm";  // The version's files were replaced.
  std::shared_ptr<ModelMetrics> replaced = metrics.AddModel(facts);
  old->OnNextWords(1);
  replaced->OnNextWords(2);
  const char kContexts[] = "bitlm_next_word_contexts_total{model=\"english\",version=\"2\"} 3";
  EXPECT_THAT(metrics.Expose(), HasSubstr(kContexts));
  old.reset();
  EXPECT_THAT(metrics.Expose(), HasSubstr(kContexts));
  EXPECT_THAT(metrics.Expose(), HasSubstr("preset=\"belm\""));
  EXPECT_THAT(metrics.Expose(), Not(HasSubstr("preset=\"bllm\"")));
  replaced.reset();
  EXPECT_THAT(metrics.Expose(), Not(HasSubstr("english")));
  metrics.SetModelReady("english", 2, false);  // Nothing comes back.
  EXPECT_THAT(metrics.Expose(), Not(HasSubstr("english")));
}

TEST(HttpServerTest, ServesItsPathsAndNothingElse) {
  auto server = HttpServer::Start("127.0.0.1", 0,
                                  {{"/",
                                    [] {
                                      return HttpResponse{200, "text/plain", "root"};
                                    }},
                                   {"/readyz", [] {
                                      return HttpResponse{503, "text/plain", "no"};
                                    }}});
  ASSERT_TRUE(server.ok()) << server.status();
  const int port = (*server)->port();
  ASSERT_GT(port, 0);
  EXPECT_EQ(Ask(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "200\nroot");
  EXPECT_EQ(Ask(port, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"), "503\nno");
  EXPECT_EQ(Ask(port, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"), "200\n");
  EXPECT_THAT(Ask(port, "GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("404"));
  EXPECT_THAT(Ask(port, "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
              ::testing::Not(HasSubstr("root:")));
  EXPECT_THAT(Ask(port, "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("405"));
  EXPECT_EQ(HttpServer::Start("127.0.0.1", port, {}).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace bitlm
