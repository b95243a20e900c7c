// ScoreSentences between proto and engine: checks of the request, the response.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "bitlm/v1/language_model_service.pb.h"
#include "engine/model/model.h"
#include "engine/scoring/sentence_scorer.h"
#include "server/config/server_config.h"
#include "server/execution/score_execution.h"
#include "server/registry/model_registry.h"

namespace bitlm {

// Errors: INVALID_ARGUMENT naming the field, "options.oov_logprob".
absl::StatusOr<ScoreOptions> ReadScoreOptions(const v1::ScoreOptions& options);

// Normalizes and looks up every sentence. Errors: INVALID_ARGUMENT naming the sentence,
// "sentences[3]: ...", or a limit.
absl::StatusOr<std::vector<TokenizedSentence>> TokenizeSentences(
    const v1::ScoreSentencesRequest& request, const Model& model, const RequestLimits& limits);

// The answer to a completed task.
v1::ScoreSentencesResponse MakeScoreResponse(const ServedModel& model, bool include_words,
                                             ScoreTask& task);

}  // namespace bitlm
