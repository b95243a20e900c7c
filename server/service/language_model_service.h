// bitlm.v1.LanguageModelService: scores of sentences, next words.
#pragma once

#include "absl/status/statusor.h"
#include "bitlm/v1/language_model_service.grpc.pb.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/config/server_config.h"
#include "server/registry/model_registry.h"
#include "server/service/unary_call.h"

namespace bitlm {

// Its methods are raw: they parse their requests themselves, see request_parser.h.
using RawLanguageModelService = v1::LanguageModelService::WithRawCallbackMethod_ScoreSentences<
    v1::LanguageModelService::WithRawCallbackMethod_NextWords<v1::LanguageModelService::Service>>;

// Handlers check the request, queue it as a task, and return; the task's completion answers.
class LanguageModelService final : public RawLanguageModelService {
 public:
  // `registry` and what `environment` names outlive the service.
  LanguageModelService(const ModelRegistry* registry, const RequestLimits& limits,
                       const CallEnvironment& environment);

  grpc::ServerUnaryReactor* ScoreSentences(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* NextWords(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;

 private:
  // The task that answers `call`; null when it has been answered because there is nothing to
  // compute.
  absl::StatusOr<std::shared_ptr<Task>> MakeScoreTask(const grpc::ByteBuffer& request,
                                                      UnaryCall* call) const;
  absl::StatusOr<std::shared_ptr<Task>> MakeNextWordsTask(const grpc::ByteBuffer& request,
                                                          UnaryCall* call) const;
  // Runs, fails or leaves `call`.
  static void Start(absl::StatusOr<std::shared_ptr<Task>> task, UnaryCall* call);

  const ModelRegistry* registry_;
  RequestLimits limits_;
  CallEnvironment environment_;
};

}  // namespace bitlm
