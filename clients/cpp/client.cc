#include "clients/cpp/client.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bitlm/v1/language_model_service.grpc.pb.h"
#include "bitlm/v1/model_service.grpc.pb.h"
#include "clients/cpp/connection.h"
#include "clients/cpp/utf8.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/channel_arguments.h"

namespace bitlm::client {
namespace {

// Retries what no server has begun: connections that fail, queues that are full, servers that shut
// down; and turns away from servers whose health is NOT_SERVING. The server's pushback wins over
// the backoff. (gRPC allows at most 5 attempts.)
constexpr char kServiceConfig[] = R"({
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": "bitlm.v1.LanguageModelService"},
  "methodConfig": [{
    "name": [{"service": "bitlm.v1.LanguageModelService"}, {"service": "bitlm.v1.ModelService"}],
    "retryPolicy": {
      "maxAttempts": 5,
      "initialBackoff": "0.1s",
      "maxBackoff": "2s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]
    }
  }]
})";

// Of one call. gRPC does not retry a request that is larger (its default is 256 KiB). This is a
// server's default limit: over it RESOURCE_EXHAUSTED mostly means just that, and is final.
constexpr int kRetryBufferBytes = 4 << 20;

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, kRetryBufferBytes);
  return arguments;
}

v1::OovPolicy ToProto(OovPolicy policy) {
  switch (policy) {
    case OovPolicy::kUnknownWord:
      return v1::OOV_POLICY_UNKNOWN_WORD;
    case OovPolicy::kFixed:
      return v1::OOV_POLICY_FIXED;
    case OovPolicy::kOffset:
      return v1::OOV_POLICY_OFFSET;
  }
  return v1::OOV_POLICY_UNSPECIFIED;
}

v1::ScoreSentencesRequest ToProto(const std::vector<std::string>& sentences,
                                  const ScoreOptions& options) {
  v1::ScoreSentencesRequest request;
  request.set_model(options.model);
  request.set_model_version(options.model_version);
  request.set_model_label(options.model_label);
  for (const std::string& sentence : sentences) request.add_sentences(sentence);
  v1::ScoreOptions* out = request.mutable_options();
  out->set_begin_of_sentence(options.begin_of_sentence);
  out->set_end_of_sentence(options.end_of_sentence);
  out->set_oov_policy(ToProto(options.oov_policy));
  out->set_oov_logprob(options.oov_logprob);
  out->set_include_words(options.words);
  out->set_self_normalized(options.self_normalized);
  return request;
}

SentenceScore FromProto(v1::SentenceScore& score) {
  SentenceScore result = {.logprob = score.logprob(),
                          .word_count = score.word_count(),
                          .token_count = score.token_count(),
                          .oov_count = score.oov_count(),
                          .oov_logprob = score.oov_logprob(),
                          .words = {}};
  result.words.reserve(static_cast<size_t>(score.words_size()));
  for (v1::WordScore& word : *score.mutable_words()) {
    result.words.push_back({.word = std::move(*word.mutable_word()),
                            .id = word.id(),
                            .logprob = word.logprob(),
                            .oov = word.oov(),
                            .rank = word.rank()});
  }
  return result;
}

v1::NextWordsRequest ToProto(const std::string& context, const NextWordsOptions& options) {
  v1::NextWordsRequest request;
  request.set_model(options.model);
  request.set_model_version(options.model_version);
  request.set_model_label(options.model_label);
  request.set_context(context);
  request.set_top_k(options.top_k);
  request.set_allow_unknown(options.allow_unknown);
  request.set_allow_end_of_sentence(options.allow_end_of_sentence);
  for (const std::string& candidate : options.candidates) request.add_candidates(candidate);
  if (options.prefix) request.set_prefix(*options.prefix);
  request.set_self_normalized(options.self_normalized);
  return request;
}

// protobuf would send a string that is not UTF-8, and complain on standard error.
absl::Status CheckUtf8(const std::string& field, const std::string& text) {
  const size_t position = FindInvalidUtf8(text);
  if (position == std::string::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, ": invalid UTF-8 at byte ", position));
}
absl::Status CheckUtf8(const std::string& field, const std::vector<std::string>& texts) {
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::Status status = CheckUtf8(absl::StrCat(field, "[", i, "]"), texts[i]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

struct Client::Impl {
  explicit Impl(const ClientOptions& client_options)
      : options(client_options),
        connection(Connect(client_options.target, client_options.credentials, Arguments())),
        language_models(v1::LanguageModelService::NewStub(connection.channel)),
        models(v1::ModelService::NewStub(connection.channel)) {}

  // Calls `method` of `stub` with the deadline of now.
  template <typename Stub, typename Request, typename Response>
  absl::Status Call(Stub& stub,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) const {
    if (!connection.status.ok()) return connection.status;
    grpc::ClientContext context;
    Authorize(options.credentials, &context);
    context.set_deadline(std::chrono::system_clock::now() +
                         absl::ToChronoMicroseconds(options.timeout));
    const grpc::Status status = (stub.*method)(&context, request, response);
    if (status.ok()) return absl::OkStatus();
    std::string message = status.error_message();
    const bool unreachable = status.error_code() == grpc::StatusCode::UNAVAILABLE;
    const bool late = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
    if (unreachable) {
      message = absl::StrCat("no server answers at ", options.target, " (", message, ")");
    } else if (late) {
      message = absl::StrCat("no answer from ", options.target, " within ",
                             absl::FormatDuration(options.timeout), " (", message, ")");
    }
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), message);
  }

  const ClientOptions options;
  const Connection connection;
  const std::unique_ptr<v1::LanguageModelService::Stub> language_models;
  const std::unique_ptr<v1::ModelService::Stub> models;
};

Client::Client(const ClientOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Client::~Client() = default;

absl::StatusOr<ScoreResult> Client::Score(const std::vector<std::string>& sentences,
                                          const ScoreOptions& options) const {
  if (absl::Status status = CheckUtf8("sentences", sentences); !status.ok()) return status;
  v1::ScoreSentencesResponse response;
  const absl::Status status =
      impl_->Call(*impl_->language_models, &v1::LanguageModelService::Stub::ScoreSentences,
                  ToProto(sentences, options), &response);
  if (!status.ok()) return status;
  if (response.scores_size() != static_cast<int>(sentences.size())) {
    return absl::InternalError(absl::StrCat("the server answered ", response.scores_size(),
                                            " scores for ", sentences.size(), " sentences"));
  }
  ScoreResult result = {
      .model = response.model(), .model_version = response.model_version(), .scores = {}};
  for (v1::SentenceScore& score : *response.mutable_scores()) {
    result.scores.push_back(FromProto(score));
  }
  return result;
}

absl::StatusOr<NextWordsResult> Client::NextWords(const std::string& context,
                                                  const NextWordsOptions& options) const {
  if (absl::Status status = CheckUtf8("context", context); !status.ok()) return status;
  if (absl::Status status = CheckUtf8("candidates", options.candidates); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckUtf8("prefix", options.prefix.value_or("")); !status.ok()) {
    return status;
  }
  v1::NextWordsResponse response;
  const absl::Status status =
      impl_->Call(*impl_->language_models, &v1::LanguageModelService::Stub::NextWords,
                  ToProto(context, options), &response);
  if (!status.ok()) return status;
  NextWordsResult result = {
      .model = response.model(), .model_version = response.model_version(), .words = {}};
  for (v1::NextWord& word : *response.mutable_words()) {
    result.words.push_back({.word = std::move(*word.mutable_word()),
                            .id = word.id(),
                            .logprob = word.logprob(),
                            .oov = word.oov(),
                            .candidate_index = word.candidate_index()});
  }
  return result;
}

absl::StatusOr<std::vector<ModelSummary>> Client::ListModels() const {
  v1::ListModelsResponse response;
  const absl::Status status = impl_->Call(*impl_->models, &v1::ModelService::Stub::ListModels,
                                          v1::ListModelsRequest(), &response);
  if (!status.ok()) return status;
  std::vector<ModelSummary> models;
  for (const v1::ModelSummary& model : response.models()) {
    models.push_back({.name = model.name(),
                      .version = model.version(),
                      .latest = model.latest(),
                      .preset = model.preset(),
                      .vocabulary_size = model.vocabulary_size(),
                      .weight_bytes = model.weight_bytes(),
                      .vocabulary_bytes = model.vocabulary_bytes(),
                      .labels = {model.labels().begin(), model.labels().end()}});
  }
  return models;
}

std::optional<size_t> SentenceOfError(const absl::Status& status) {
  constexpr absl::string_view kPrefix = "sentences[";
  const absl::string_view message = status.message();
  if (!absl::IsInvalidArgument(status) || message.substr(0, kPrefix.size()) != kPrefix) {
    return std::nullopt;
  }
  size_t index = 0;
  size_t i = kPrefix.size();
  for (; i < message.size() && message[i] >= '0' && message[i] <= '9' && i < 25; ++i) {
    index = index * 10 + static_cast<size_t>(message[i] - '0');
  }
  if (i == kPrefix.size() || message.substr(i, 3) != "]: ") return std::nullopt;
  return index;
}

}  // namespace bitlm::client
