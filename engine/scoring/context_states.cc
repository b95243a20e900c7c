#include "engine/scoring/context_states.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/scoring/prefix_walk.h"

namespace bitlm {

ContextStates::ContextStates(const LanguageModel& model,
                             std::span<const TokenizedSentence* const> contexts, StateCache* cache,
                             ThreadPool* pool) {
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
  std::vector<PrefixStart> starts(sequences.size());
  for (size_t i = 0; cache != nullptr && i < sequences.size(); ++i) {
    const StateCache::Prefix& prefix = cached_.emplace_back(cache->Find(model, sequences[i]));
    starts[i] = {.length = prefix.length, .state = prefix.state.get()};
    if (prefix.length == sequences[i].size()) states_[i] = prefix.state.get();
  }
  const size_t size = model.state_size();
  const size_t steps = WalkPrefixes(model, sequences, starts, pool, [&](const PrefixNodes& nodes) {
    for (size_t i = 0; i < nodes.items.size(); ++i) {
      const size_t item = nodes.items[i];
      if (sequences[item].size() != nodes.depth + 1) continue;
      owned_.push_back(std::make_unique_for_overwrite<float[]>(size));
      std::copy_n(nodes.states[nodes.node_of[i]], size, owned_.back().get());
      states_[item] = owned_.back().get();
      if (cache != nullptr) cache->Insert(model, sequences[item], states_[item]);
    }
  });
  steps_ = static_cast<int64_t>(steps);
}

}  // namespace bitlm
