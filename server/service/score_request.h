// ScoreSentences between proto and engine: checks of the request, the response. The text of
// NextWords too.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bitlm/v1/language_model_service.pb.h"
#include "engine/model/model.h"
#include "engine/scoring/sentence_scorer.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/config/server_config.h"
#include "server/execution/score_execution.h"
#include "server/registry/model_registry.h"

namespace bitlm {

// Errors: INVALID_ARGUMENT naming the field, "options.oov_logprob"; FAILED_PRECONDITION for
// "options.self_normalized" when a model of `config` does not allow it.
absl::StatusOr<ScoreOptions> ReadScoreOptions(const v1::ScoreOptions& options,
                                              const ModelConfig& config);

// Whether a ScoreSentencesRequest, not parsed yet, has as many sentences as it may: two bytes on
// the wire are a sentence, and a string's dozens in memory. Errors: INVALID_ARGUMENT naming the
// limit.
absl::Status CheckSentenceCount(const grpc::ByteBuffer& bytes, const RequestLimits& limits);

// About how many tokens a ScoreSentencesRequest, not parsed yet, takes of the queue: its blanks. Too
// few for sentences of a word or two, which the queue itself then refuses.
int64_t EstimateTokens(const grpc::ByteBuffer& bytes);

// Normalizes and looks up the text of a field. Errors: INVALID_ARGUMENT naming the field, or the
// field and max_words_per_sentence.
absl::StatusOr<TokenizedSentence> TokenizeField(std::string_view field, std::string_view text,
                                                const Model& model, const RequestLimits& limits);

// Normalizes and looks up every sentence; keeps their words only if they are asked for. Errors:
// INVALID_ARGUMENT naming the sentence, "sentences[3]: ...".
absl::StatusOr<std::vector<TokenizedSentence>> TokenizeSentences(
    const v1::ScoreSentencesRequest& request, const Model& model, const RequestLimits& limits);

// The answer to a completed task.
v1::ScoreSentencesResponse MakeScoreResponse(const ServedModel& model, bool include_words,
                                             ScoreTask& task);

}  // namespace bitlm
