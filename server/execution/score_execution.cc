#include "server/execution/score_execution.h"

#include <algorithm>
#include <string>

#include "engine/scoring/step_batch.h"

namespace bitlm {
namespace {

// A sentence takes a token for each word and one for its end. Words that the answer will repeat
// wait in memory: up to kBytesPerToken each, the tokens stand for them.
int64_t QueueTokens(const std::vector<TokenizedSentence>& sentences) {
  constexpr int64_t kBytesPerToken = 16;
  int64_t tokens = 0, bytes = 0;
  for (const TokenizedSentence& sentence : sentences) {
    tokens += static_cast<int64_t>(sentence.tokens.size()) + 1;
    for (const std::string& word : sentence.words) bytes += static_cast<int64_t>(word.size());
  }
  return std::max(tokens, bytes / kBytesPerToken);
}

std::vector<ScoreItem> Items(const std::vector<TokenizedSentence>& sentences,
                             const ScoreOptions& options) {
  std::vector<ScoreItem> items;
  items.reserve(sentences.size());
  for (const TokenizedSentence& sentence : sentences) items.push_back({&sentence, options});
  return items;
}

}  // namespace

void ScoreExecutor::Execute(std::span<const Slice> slices) {
  StepBatch batch;
  for (const Slice& slice : slices) {
    static_cast<ScoreTask&>(*slice.task).walk().Take(static_cast<size_t>(slice.steps), &batch);
  }
  const absl::Time start = absl::Now();
  batch.Execute(*model_, pool_);
  metrics_->OnComputed(absl::Now() - start);
  for (const Slice& slice : slices) {
    auto& task = static_cast<ScoreTask&>(*slice.task);
    task.walk().Finish();
    if (task.ready() > 0) continue;
    task.scores() = task.walk().TakeScores();
    int64_t oov_tokens = 0;
    for (const SentenceScore& score : task.scores()) oov_tokens += score.oov_count;
    const ScoreStatistics& statistics = task.walk().statistics();
    metrics_->OnScored(static_cast<int64_t>(task.scores().size()), statistics.tokens, oov_tokens,
                       statistics.steps);
  }
}

ScoreTask::ScoreTask(ScoreExecutor* executor, std::shared_ptr<const void> keep_alive,
                     std::vector<TokenizedSentence> sentences, const ScoreOptions& options,
                     absl::Time deadline, Done done)
    : Task(executor, QueueTokens(sentences), deadline),
      keep_alive_(std::move(keep_alive)),
      sentences_(std::move(sentences)),
      options_(options),
      walk_(executor->model(), Items(sentences_, options_)),
      done_(std::move(done)) {
  if (walk_.ready() == 0) scores_ = walk_.TakeScores();  // There is nothing to compute.
}

}  // namespace bitlm
