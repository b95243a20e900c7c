#include "server/execution/next_words_execution.h"

#include <cstddef>

namespace bitlm {
namespace {

int64_t ExtraTokens(const NextWordsQuery& query) {
  constexpr int64_t kBytesPerToken = 16;
  if (!query.candidates) return 0;
  int64_t bytes = 0;
  for (const Candidate& candidate : *query.candidates) {
    bytes += static_cast<int64_t>(candidate.word.size());
  }
  return static_cast<int64_t>(query.candidates->size()) + bytes / kBytesPerToken;
}

std::vector<TokenId> Tokens(const std::vector<Candidate>& candidates) {
  std::vector<TokenId> tokens;
  tokens.reserve(candidates.size());
  for (const Candidate& candidate : candidates) tokens.push_back(candidate.token);
  return tokens;
}

}  // namespace

void NextWordsExecutor::Execute(std::span<const Slice> slices) {
  std::vector<NextWordItem> items;
  std::vector<std::vector<TokenId>> among(slices.size());
  for (size_t i = 0; i < slices.size(); ++i) {
    const NextWordsQuery& query = static_cast<const NextWordsTask&>(*slices[i].task).query();
    NextWordItem& item = items.emplace_back();
    item.context = &query.context;
    item.options = query.options;
    item.among = query.completions;
    if (query.candidates) item.among = among[i] = Tokens(*query.candidates);
  }
  std::vector<std::vector<TokenScore>> words = NextWords(*model_, items, cache_, pool_);
  for (size_t i = 0; i < slices.size(); ++i) {
    static_cast<NextWordsTask&>(*slices[i].task).words() = std::move(words[i]);
  }
  metrics_->OnNextWords(static_cast<int64_t>(slices.size()));
}

NextWordsTask::NextWordsTask(Executor* executor, std::shared_ptr<const void> keep_alive,
                             NextWordsQuery query, absl::Time deadline, Done done)
    : Task(executor, {static_cast<int64_t>(query.context.tokens.size()) + 1}, deadline,
           ExtraTokens(query)),
      keep_alive_(std::move(keep_alive)),
      query_(std::move(query)),
      done_(std::move(done)) {}

}  // namespace bitlm
