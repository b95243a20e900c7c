#include "engine/scoring/context_states.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/scoring/prefix_walk.h"

namespace bitlm {

ContextStates::ContextStates(const LanguageModel& model,
                             std::span<const TokenizedSentence* const> contexts, ThreadPool* pool) {
  std::vector<std::vector<TokenId>> sequences;  // Distinct.
  std::map<std::vector<TokenId>, size_t> numbers;
  for (const TokenizedSentence* context : contexts) {
    std::vector<TokenId> sequence = {model.vocabulary().end_of_sentence_id()};
    sequence.insert(sequence.end(), context->tokens.begin(), context->tokens.end());
    const auto [known, inserted] = numbers.try_emplace(std::move(sequence), sequences.size());
    if (inserted) sequences.push_back(known->first);
    of_.push_back(known->second);
  }
  states_.resize(sequences.size());
  const size_t size = model.state_size();
  PrefixWalk walk(size, std::move(sequences));
  while (walk.ready() > 0) {
    const PrefixNodes nodes = walk.Take(std::min(kMaxExecutionRows, walk.ready()));
    model.Advance(nodes.tokens, nodes.parents, nodes.states, pool);
    for (size_t i = 0; i < nodes.items.size(); ++i) {
      const size_t item = nodes.items[i];
      if (walk.sequences()[item].size() != nodes.depth + 1) continue;
      states_[item] = std::make_unique_for_overwrite<float[]>(size);
      std::copy_n(nodes.states[nodes.node_of[i]], size, states_[item].get());
    }
    steps_ += static_cast<int64_t>(nodes.tokens.size());
    walk.Finish();
  }
}

}  // namespace bitlm
