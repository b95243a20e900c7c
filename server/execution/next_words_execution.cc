#include "server/execution/next_words_execution.h"

#include "engine/scoring/step_batch.h"

namespace bitlm {
namespace {

int64_t QueueTokens(const NextWordsQuery& query) {
  constexpr int64_t kBytesPerToken = 16;
  const int64_t context = static_cast<int64_t>(query.context.tokens.size()) + 1;
  if (!query.candidates) return context;
  int64_t bytes = 0;
  for (const Candidate& candidate : *query.candidates) {
    bytes += static_cast<int64_t>(candidate.word.size());
  }
  return context + static_cast<int64_t>(query.candidates->size()) + bytes / kBytesPerToken;
}

std::vector<TokenId> Candidates(const NextWordsQuery& query) {
  std::vector<TokenId> tokens;
  if (!query.candidates) return tokens;
  tokens.reserve(query.candidates->size());
  for (const Candidate& candidate : *query.candidates) tokens.push_back(candidate.token);
  return tokens;
}

NextWordItem Item(const NextWordsQuery& query, std::span<const TokenId> candidates) {
  NextWordItem item{
      .context = &query.context, .options = query.options, .among = query.completions};
  if (query.candidates) item.among = candidates;
  return item;
}

}  // namespace

void NextWordsExecutor::Execute(std::span<const Slice> slices) {
  StepBatch batch;
  for (const Slice& slice : slices) {
    static_cast<NextWordsTask&>(*slice.task).walk().Take(&batch);
  }
  const absl::Time start = absl::Now();
  batch.Execute(*model_, pool_);
  metrics_->OnComputed(absl::Now() - start);
  int64_t answered = 0;
  for (const Slice& slice : slices) {
    auto& task = static_cast<NextWordsTask&>(*slice.task);
    task.walk().Finish();
    if (task.ready() > 0) continue;
    task.words() = task.walk().TakeWords();
    ++answered;
  }
  if (answered > 0) metrics_->OnNextWords(answered);
}

NextWordsTask::NextWordsTask(NextWordsExecutor* executor, std::shared_ptr<const void> keep_alive,
                             NextWordsQuery query, absl::Time deadline, Done done)
    : Task(executor, QueueTokens(query), deadline),
      keep_alive_(std::move(keep_alive)),
      query_(std::move(query)),
      candidates_(Candidates(query_)),
      walk_(executor->model(), Item(query_, candidates_), executor->cache()),
      done_(std::move(done)) {}

}  // namespace bitlm
