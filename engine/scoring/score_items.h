// ScoreItems: what SentenceScorer does, for callers that hold a model by reference.
#pragma once

#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/sentence_scorer.h"

namespace bitlm {

// As SentenceScorer::Score. `pool` and `statistics` may be null.
std::vector<SentenceScore> ScoreItems(const LanguageModel& model, std::span<const ScoreItem> items,
                                      ThreadPool* pool, ScoreStatistics* statistics);

}  // namespace bitlm
