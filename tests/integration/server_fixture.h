// A server in the test's process, on free ports, with a tiny random model behind a gate.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bitlm/v1/language_model_service.grpc.pb.h"
#include "bitlm/v1/model_service.grpc.pb.h"
#include "clients/cpp/client.h"
#include "grpcpp/create_channel.h"
#include "server/server.h"
#include "tests/integration/gated_model.h"
#include "tests/integration/tiny_repository.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {

class ServerFixture : public ::testing::Test {
 protected:
  ServerFixture() {
    config_.grpc_port = 0;
    config_.http_port = 0;
    config_.drain_delay_ms = 0;
    config_.threads = 2;
  }

  // Starts the server with model "tiny" version 2, and `more` beside it.
  void StartServer(std::vector<LoadedModel> more = {}) {
    more.push_back({"tiny", 2, gate_, absl::Milliseconds(1)});
    auto server = Server::Start(config_, std::move(more));
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    const std::string target = absl::StrCat("127.0.0.1:", server_->grpc_port());
    client_ = std::make_unique<client::Client>(client::ClientOptions{.target = target});
    channel_ = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
    language_models_ = v1::LanguageModelService::NewStub(channel_);
    models_ = v1::ModelService::NewStub(channel_);
  }

  static std::shared_ptr<const LanguageModel> MakeModel(uint64_t seed) {
    auto model = MakeCpuLanguageModel(
        std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 50, 24, 20), seed)));
    EXPECT_THAT(model, IsOk());
    return *model;
  }

  // One call without the client library's retries.
  std::pair<grpc::Status, v1::ScoreSentencesResponse> Score(
      const v1::ScoreSentencesRequest& request, grpc::ClientContext* context = nullptr) {
    grpc::ClientContext own_context;
    v1::ScoreSentencesResponse response;
    const grpc::Status status = language_models_->ScoreSentences(
        context != nullptr ? context : &own_context, request, &response);
    return {status, std::move(response)};
  }
  std::pair<grpc::Status, v1::NextWordsResponse> Next(const v1::NextWordsRequest& request) {
    grpc::ClientContext context;
    v1::NextWordsResponse response;
    const grpc::Status status = language_models_->NextWords(&context, request, &response);
    return {status, std::move(response)};
  }
  static v1::ScoreSentencesRequest Sentences(const std::vector<std::string>& sentences) {
    v1::ScoreSentencesRequest request;
    for (const std::string& sentence : sentences) request.add_sentences(sentence);
    return request;
  }
  // Whether the server still answers.
  void ExpectAlive() {
    const auto [status, response] = Score(Sentences({"w1"}));
    EXPECT_TRUE(status.ok()) << status.error_message();
  }

  ServerConfig config_;
  std::shared_ptr<const LanguageModel> model_ = MakeModel(7);
  std::shared_ptr<GatedModel> gate_ = std::make_shared<GatedModel>(model_);
  std::unique_ptr<Server> server_;
  std::unique_ptr<client::Client> client_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::LanguageModelService::Stub> language_models_;
  std::unique_ptr<v1::ModelService::Stub> models_;
};

}  // namespace bitlm
