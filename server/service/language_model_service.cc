#include "server/service/language_model_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "server/service/errors.h"
#include "server/service/request_parser.h"
#include "server/service/score_request.h"

namespace bitlm {
namespace {

constexpr int kDefaultTopK = 10;

// Words that a model may answer with.
int64_t AnswerableWords(const v1::NextWordsRequest& request, const Vocabulary& vocabulary,
                        bool allow_end_of_sentence) {
  return vocabulary.size() - (request.allow_unknown() ? 0 : 1) - (allow_end_of_sentence ? 0 : 1);
}

// Parses and frees the bytes, which gRPC would keep until the call ends: the queue bounds what its
// tasks hold, not them.
absl::Status TakeRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* request) {
  BITLM_RETURN_IF_ERROR(ParseRequest(bytes, request));
  const_cast<grpc::ByteBuffer&>(bytes).Clear();  // gRPC's own object, not const; only we read it.
  return absl::OkStatus();
}

v1::NextWordsResponse MakeNextWordsResponse(const ServedModel& model, NextWordsTask& task) {
  v1::NextWordsResponse response;
  response.set_model(model.name);
  response.set_model_version(model.version);
  const TokenizedSentence& context = task.context();
  response.set_context_word_count(static_cast<int32_t>(context.tokens.size()));
  response.set_context_oov_count(
      static_cast<int32_t>(std::count(context.oov.begin(), context.oov.end(), true)));
  for (const TokenScore& word : task.words()) {
    v1::NextWord* out = response.add_words();
    out->set_word(std::string(model.model->vocabulary().Word(word.token)));
    out->set_id(word.token);
    out->set_logprob(word.logprob);
  }
  return response;
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
  BITLM_RETURN_IF_ERROR(CheckSentenceCount(bytes, limits_));
  v1::ScoreSentencesRequest request;
  BITLM_RETURN_IF_ERROR(TakeRequest(bytes, &request));
  BITLM_ASSIGN_OR_RETURN(std::shared_ptr<const ServedModel> model,
                         registry_->Find(request.model(), request.model_version()));
  BITLM_ASSIGN_OR_RETURN(const ScoreOptions options, ReadScoreOptions(request.options()));
  BITLM_ASSIGN_OR_RETURN(std::vector<TokenizedSentence> sentences,
                         TokenizeSentences(request, model->model->model(), limits_));

  const bool include_words = request.options().include_words();
  const bool nothing_to_do = sentences.empty();
  auto task = std::make_shared<ScoreTask>(
      &model->score, model, std::move(sentences), options, call->deadline(),
      [call, served = model.get(), include_words](absl::Status status, ScoreTask& done) {
        if (!status.ok()) return call->Fail(status);
        call->Succeed(MakeScoreResponse(*served, include_words, done));
      });
  if (nothing_to_do) {
    task->Complete(absl::OkStatus());
    return nullptr;
  }
  return task;
}

absl::StatusOr<std::shared_ptr<Task>> LanguageModelService::MakeNextWordsTask(
    const grpc::ByteBuffer& bytes, UnaryCall* call) const {
  v1::NextWordsRequest request;
  BITLM_RETURN_IF_ERROR(TakeRequest(bytes, &request));
  BITLM_ASSIGN_OR_RETURN(std::shared_ptr<const ServedModel> model,
                         registry_->Find(request.model(), request.model_version()));

  NextWordOptions options;
  options.allow_unknown = request.allow_unknown();
  if (request.has_allow_end_of_sentence()) {
    options.allow_end_of_sentence = request.allow_end_of_sentence();
  }
  const int64_t limit =
      std::min(limits_.max_top_k,
               AnswerableWords(request, model->model->vocabulary(), options.allow_end_of_sentence));
  if (request.top_k() < 0 || request.top_k() > limit) {
    return OutOfRange("top_k", request.top_k(), 0, limit);
  }
  options.top_k = request.top_k() > 0 ? request.top_k()
                                      : static_cast<int>(std::min<int64_t>(kDefaultTopK, limit));

  BITLM_ASSIGN_OR_RETURN(TokenizedSentence context, TokenizeField("context", request.context(),
                                                                  model->model->model(), limits_));
  context.words = {};  // Only the tokens wait in the queue.
  auto task = std::make_shared<NextWordsTask>(
      &model->next_words, model, std::move(context), options, call->deadline(),
      [call, served = model.get()](absl::Status status, NextWordsTask& done) {
        if (!status.ok()) return call->Fail(status);
        call->Succeed(MakeNextWordsResponse(*served, done));
      });
  if (options.top_k == 0) {  // A vocabulary of <unk> and </s>, and neither allowed.
    task->Complete(absl::OkStatus());
    return nullptr;
  }
  return task;
}

}  // namespace bitlm
