#include "engine/scoring/sentence_scorer.h"

#include <algorithm>
#include <utility>

#include "engine/scoring/score_items.h"
#include "engine/scoring/score_walk.h"

namespace bitlm {

std::vector<SentenceScore> ScoreItems(const LanguageModel& model, std::span<const ScoreItem> items,
                                      ThreadPool* pool, ScoreStatistics* statistics) {
  ScoreWalk walk(model, items);
  while (walk.ready() > 0) {
    StepBatch batch;
    walk.Take(std::min(kMaxExecutionRows, walk.ready()), &batch);
    batch.Execute(model, pool);
    walk.Finish();
  }
  if (statistics != nullptr) *statistics = walk.statistics();
  return walk.TakeScores();
}

SentenceScorer::SentenceScorer(std::shared_ptr<const LanguageModel> model)
    : model_(std::move(model)) {}

std::vector<SentenceScore> SentenceScorer::Score(std::span<const ScoreItem> items, ThreadPool* pool,
                                                 ScoreStatistics* statistics) const {
  return ScoreItems(*model_, items, pool, statistics);
}

}  // namespace bitlm
