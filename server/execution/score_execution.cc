#include "server/execution/score_execution.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

namespace bitlm {
namespace {

// A sentence costs a step for each word and one for its end.
std::vector<int64_t> Costs(const std::vector<TokenizedSentence>& sentences) {
  std::vector<int64_t> costs;
  costs.reserve(sentences.size());
  for (const TokenizedSentence& sentence : sentences) {
    costs.push_back(static_cast<int64_t>(sentence.tokens.size()) + 1);
  }
  return costs;
}

// Words that the answer will repeat wait in memory. Up to kBytesPerToken each, the tokens stand for
// them.
int64_t ExtraTokens(const std::vector<TokenizedSentence>& sentences) {
  constexpr int64_t kBytesPerToken = 16;
  int64_t tokens = 0, bytes = 0;
  for (const TokenizedSentence& sentence : sentences) {
    tokens += static_cast<int64_t>(sentence.tokens.size()) + 1;
    for (const std::string& word : sentence.words) bytes += static_cast<int64_t>(word.size());
  }
  return std::max<int64_t>(0, bytes / kBytesPerToken - tokens);
}

}  // namespace

ScoreExecutor::ScoreExecutor(std::shared_ptr<const LanguageModel> model, ThreadPool* pool,
                             ModelMetrics* metrics)
    : scorer_(std::move(model)), pool_(pool), metrics_(metrics) {}

void ScoreExecutor::Execute(std::span<const Slice> slices) {
  std::vector<ScoreItem> items;
  for (const Slice& slice : slices) {
    const auto& task = static_cast<const ScoreTask&>(*slice.task);
    for (size_t i = slice.first; i < slice.first + slice.count; ++i) {
      items.push_back({&task.sentences()[i], task.options()});
    }
  }
  ScoreStatistics statistics;
  std::vector<SentenceScore> scores = scorer_.Score(items, pool_, &statistics);

  int64_t oov_tokens = 0;
  auto score = scores.begin();
  for (const Slice& slice : slices) {
    auto& task = static_cast<ScoreTask&>(*slice.task);
    for (size_t i = slice.first; i < slice.first + slice.count; ++i, ++score) {
      oov_tokens += score->oov_count;
      task.scores()[i] = std::move(*score);
    }
  }
  metrics_->OnScored(static_cast<int64_t>(items.size()), statistics.tokens, oov_tokens,
                     statistics.steps);
}

ScoreTask::ScoreTask(Executor* executor, std::shared_ptr<const void> keep_alive,
                     std::vector<TokenizedSentence> sentences, const ScoreOptions& options,
                     absl::Time deadline, Done done)
    : Task(executor, Costs(sentences), deadline, ExtraTokens(sentences)),
      keep_alive_(std::move(keep_alive)),
      sentences_(std::move(sentences)),
      options_(options),
      scores_(sentences_.size()),
      done_(std::move(done)) {}

}  // namespace bitlm
