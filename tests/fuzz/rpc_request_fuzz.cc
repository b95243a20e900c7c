// Requests of every RPC as they come off the wire: an error of the request, or an answer.
//
// The first byte of an input chooses the RPC, the rest is the message.
#include <cmath>
#include <memory>
#include <string>

#include "bitlm/v1/admin_service.pb.h"
#include "bitlm/v1/model_service.pb.h"
#include "engine/base/status.h"
#include "engine/model/model_repository.h"
#include "server/registry/model_registry.h"
#include "server/service/errors.h"
#include "server/service/model_selector.h"
#include "server/service/next_words_request.h"
#include "server/service/request_log.h"
#include "server/service/request_parser.h"
#include "server/service/score_request.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/random_model.h"

namespace bitlm {
namespace {

constexpr RequestLimits kLimits = {.max_sentences_per_request = 50,
                                   .max_words_per_sentence = 40,
                                   .max_top_k = 20,
                                   .max_message_bytes = 1 << 20};

const ModelRegistry& Registry() {
  static const auto* const registry = [] {
    auto* const made = new ModelRegistry;
    static auto* const metrics = new ServerMetrics("1", "cpu");
    for (const char* name : {"tiny", "other"}) {
      const auto model = *MakeCpuLanguageModel(
          std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 30, 8, 8), 1)));
      ModelFacts facts;
      facts.name = name;
      facts.version = 1;
      made->Add(std::make_shared<ServedModel>(name, 1, model, WordIndex(model->vocabulary()),
                                              nullptr, nullptr, metrics->AddModel(facts)));
    }
    made->SetDefault("tiny");
    made->SetLabels("tiny", {{"stable", 1}});
    return made;
  }();
  return *registry;
}

void Compute(Task& task) {
  while (task.ready() > 0) {
    const Slice slice = {.task = &task, .steps = task.ready()};
    task.executor()->Execute({&slice, 1});
  }
  BITLM_FUZZ_CHECK(task.steps_left() == 0);
}

absl::Status Score(const grpc::ByteBuffer& bytes) {
  BITLM_RETURN_IF_ERROR(CheckSentenceCount(bytes, kLimits));
  v1::ScoreSentencesRequest request;
  BITLM_RETURN_IF_ERROR(ParseRequest(bytes, &request));
  BITLM_ASSIGN_OR_RETURN(const std::shared_ptr<const ServedModel> model,
                         Registry().Find(Selector(request)));
  BITLM_ASSIGN_OR_RETURN(const ScoreOptions options,
                         ReadScoreOptions(request.options(), model->model->config()));
  BITLM_ASSIGN_OR_RETURN(std::vector<TokenizedSentence> sentences,
                         TokenizeSentences(request, model->model->model(), kLimits));
  ScoreTask task(&model->score, model, std::move(sentences), options, absl::InfiniteFuture(),
                 [](absl::Status, ScoreTask&) {});
  Compute(task);
  const v1::ScoreSentencesResponse response =
      MakeScoreResponse(*model, request.options().include_words(), task);
  BITLM_FUZZ_CHECK(response.scores_size() == request.sentences_size());
  for (const v1::SentenceScore& score : response.scores()) {
    BITLM_FUZZ_CHECK(std::isfinite(score.logprob()));
    BITLM_FUZZ_CHECK(score.oov_count() <= score.token_count());
  }
  return absl::OkStatus();
}

absl::Status NextWords(const grpc::ByteBuffer& bytes) {
  BITLM_RETURN_IF_ERROR(CheckCandidateCount(bytes, kLimits));
  v1::NextWordsRequest request;
  BITLM_RETURN_IF_ERROR(ParseRequest(bytes, &request));
  BITLM_ASSIGN_OR_RETURN(const std::shared_ptr<const ServedModel> model,
                         Registry().Find(Selector(request)));
  BITLM_ASSIGN_OR_RETURN(NextWordsQuery query, ReadNextWordsQuery(request, *model, kLimits));
  NextWordsTask task(&model->next_words, model, std::move(query), absl::InfiniteFuture(),
                     [](absl::Status, NextWordsTask&) {});
  Compute(task);
  const v1::NextWordsResponse response = MakeNextWordsResponse(*model, task);
  BITLM_FUZZ_CHECK(response.words_size() <= kLimits.max_top_k);
  for (int i = 1; i < response.words_size(); ++i) {
    BITLM_FUZZ_CHECK(response.words(i - 1).logprob() >= response.words(i).logprob());
  }
  return absl::OkStatus();
}

absl::Status Describe(const grpc::ByteBuffer& bytes) {
  v1::DescribeModelRequest request;
  BITLM_RETURN_IF_ERROR(ParseRequest(bytes, &request));
  return Registry().Find(Selector(request)).status();
}

template <typename Request>
absl::Status ParseOnly(const grpc::ByteBuffer& bytes) {
  Request request;
  return ParseRequest(bytes, &request);
}

// Names may come from anybody: none that leads out of the repository.
absl::Status Load(const grpc::ByteBuffer& bytes) {
  v1::LoadModelRequest request;
  BITLM_RETURN_IF_ERROR(ParseRequest(bytes, &request));
  if (IsModelName(request.model())) {
    BITLM_FUZZ_CHECK(request.model().find('/') == std::string::npos && request.model()[0] != '.');
  }
  return absl::OkStatus();
}

absl::Status Run(int rpc, const grpc::ByteBuffer& bytes) {
  switch (rpc % 7) {
    case 0:
      return Score(bytes);
    case 1:
      return NextWords(bytes);
    case 2:
      return Describe(bytes);
    case 3:
      return ParseOnly<v1::ListModelsRequest>(bytes);
    case 4:
      return ParseOnly<v1::GetServerInfoRequest>(bytes);
    case 5:
      return Load(bytes);
    default:
      return ParseOnly<v1::SetLogLevelRequest>(bytes);
  }
}

}  // namespace
}  // namespace bitlm

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const grpc::Slice slice(data + 1, size - 1);
  const absl::Status status = bitlm::Run(data[0], grpc::ByteBuffer(&slice, 1));
  BITLM_FUZZ_CHECK(status.ok() || absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
                   absl::IsFailedPrecondition(status));
  BITLM_FUZZ_CHECK(status.message().size() < 8192);  // It travels in headers.
  bitlm::ToGrpcStatus(status);
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char c : bitlm::ReadIdentity(text, text).request_id) {
    BITLM_FUZZ_CHECK(c > ' ' && c < 0x7f && c != '"' && c != '=');
  }
  return 0;
}
