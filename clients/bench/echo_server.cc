// The least that a gRPC server can do for a call: every ScoreSentences gets the same bytes. What
// bitlm-server adds to it is the engine's work and its own.
//
//   bitlm-bench-echo --port 50061
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "bitlm/v1/language_model_service.grpc.pb.h"
#include "grpcpp/server_builder.h"

namespace {

using Service = bitlm::v1::LanguageModelService::WithRawCallbackMethod_ScoreSentences<
    bitlm::v1::LanguageModelService::Service>;

// The answer of a server with one sentence's score.
class EchoService final : public Service {
 public:
  EchoService() {
    bitlm::v1::ScoreSentencesResponse response;
    response.set_model("bllm-500");
    response.set_model_version(1);
    bitlm::v1::SentenceScore* score = response.add_scores();
    score->set_logprob(-123.456);
    score->set_word_count(20);
    score->set_token_count(21);
    const grpc::Slice slice(response.SerializeAsString());
    answer_ = grpc::ByteBuffer(&slice, 1);
  }
  grpc::ServerUnaryReactor* ScoreSentences(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer*,
                                           grpc::ByteBuffer* response) override {
    *response = answer_;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  grpc::ByteBuffer answer_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Answers every ScoreSentences with the same bytes");
  int port = 0, bound = 0;
  app.add_option("--port", port, "Of 127.0.0.1; 0 takes a free one")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  EchoService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                           &bound);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || bound == 0) {
    std::fprintf(stderr, "bitlm-bench-echo: cannot listen on port %d\n", port);
    return 1;
  }
  std::printf("%d\n", bound);
  std::fflush(stdout);
  server->Wait();
}
