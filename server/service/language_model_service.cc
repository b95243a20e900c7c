#include "server/service/language_model_service.h"

#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "server/service/model_selector.h"
#include "server/service/next_words_request.h"
#include "server/service/request_parser.h"
#include "server/service/score_request.h"

namespace bitlm {
namespace {

// Parses and frees the bytes, which gRPC would keep until the call ends: the queue bounds what its
// tasks hold, not them.
absl::Status TakeRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* request) {
  BITLM_RETURN_IF_ERROR(ParseRequest(bytes, request));
  const_cast<grpc::ByteBuffer&>(bytes).Clear();  // gRPC's own object, not const; only we read it.
  return absl::OkStatus();
}

}  // namespace

LanguageModelService::LanguageModelService(const ModelRegistry* registry,
                                           const RequestLimits& limits,
                                           const CallEnvironment& environment)
    : registry_(registry), limits_(limits), environment_(environment) {}

void LanguageModelService::Start(absl::StatusOr<std::shared_ptr<Task>> task, UnaryCall* call) {
  if (!task.ok()) {
    call->Fail(task.status());
  } else if (*task != nullptr) {
    call->Run(*std::move(task));
  }
}

grpc::ServerUnaryReactor* LanguageModelService::ScoreSentences(grpc::CallbackServerContext* context,
                                                               const grpc::ByteBuffer* request,
                                                               grpc::ByteBuffer* response) {
  auto* call = new UnaryCall(environment_, context, response,
                             v1::LanguageModelService::service_full_name(), "ScoreSentences");
  Start(MakeScoreTask(*request, call), call);
  return call;
}

grpc::ServerUnaryReactor* LanguageModelService::NextWords(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request,
                                                          grpc::ByteBuffer* response) {
  auto* call = new UnaryCall(environment_, context, response,
                             v1::LanguageModelService::service_full_name(), "NextWords");
  Start(MakeNextWordsTask(*request, call), call);
  return call;
}

absl::StatusOr<std::shared_ptr<Task>> LanguageModelService::MakeScoreTask(
    const grpc::ByteBuffer& bytes, UnaryCall* call) const {
  BITLM_RETURN_IF_ERROR(call->Admit());
  BITLM_RETURN_IF_ERROR(CheckSentenceCount(bytes, limits_));
  BITLM_RETURN_IF_ERROR(environment_.scheduler->CheckRoom(EstimateTokens(bytes)));
  v1::ScoreSentencesRequest request;
  BITLM_RETURN_IF_ERROR(TakeRequest(bytes, &request));
  BITLM_ASSIGN_OR_RETURN(std::shared_ptr<const ServedModel> model,
                         registry_->Find(Selector(request)));
  BITLM_ASSIGN_OR_RETURN(const ScoreOptions options,
                         ReadScoreOptions(request.options(), model->model->config()));
  BITLM_ASSIGN_OR_RETURN(std::vector<TokenizedSentence> sentences,
                         TokenizeSentences(request, model->model->model(), limits_));

  const bool include_words = request.options().include_words();
  auto task = std::make_shared<ScoreTask>(
      &model->score, model, std::move(sentences), options, call->deadline(),
      [call, served = model.get(), include_words](absl::Status status, ScoreTask& done) {
        if (!status.ok()) return call->Fail(status);
        call->Succeed(MakeScoreResponse(*served, include_words, done));
      });
  if (task->ready() == 0) {
    task->Complete(absl::OkStatus());
    return nullptr;
  }
  return task;
}

absl::StatusOr<std::shared_ptr<Task>> LanguageModelService::MakeNextWordsTask(
    const grpc::ByteBuffer& bytes, UnaryCall* call) const {
  BITLM_RETURN_IF_ERROR(call->Admit());
  BITLM_RETURN_IF_ERROR(CheckCandidateCount(bytes, limits_));
  v1::NextWordsRequest request;
  BITLM_RETURN_IF_ERROR(TakeRequest(bytes, &request));
  BITLM_ASSIGN_OR_RETURN(std::shared_ptr<const ServedModel> model,
                         registry_->Find(Selector(request)));
  BITLM_ASSIGN_OR_RETURN(NextWordsQuery query, ReadNextWordsQuery(request, *model, limits_));

  auto task = std::make_shared<NextWordsTask>(
      &model->next_words, model, std::move(query), call->deadline(),
      [call, served = model.get()](absl::Status status, NextWordsTask& done) {
        if (!status.ok()) return call->Fail(status);
        call->Succeed(MakeNextWordsResponse(*served, done));
      });
  if (task->ready() == 0) {
    task->Complete(absl::OkStatus());
    return nullptr;
  }
  return task;
}

}  // namespace bitlm
