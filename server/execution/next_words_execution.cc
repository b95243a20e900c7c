#include "server/execution/next_words_execution.h"

#include <cstddef>

namespace bitlm {

void NextWordsExecutor::Execute(std::span<const Slice> slices) {
  std::vector<NextWordItem> items;
  for (const Slice& slice : slices) {
    const auto& task = static_cast<const NextWordsTask&>(*slice.task);
    items.push_back({&task.context(), task.options()});
  }
  std::vector<std::vector<TokenScore>> words = NextWords(*model_, items, pool_);
  for (size_t i = 0; i < slices.size(); ++i) {
    static_cast<NextWordsTask&>(*slices[i].task).words() = std::move(words[i]);
  }
  metrics_->OnNextWords(static_cast<int64_t>(slices.size()));
}

}  // namespace bitlm
