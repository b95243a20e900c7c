// The prefix tree of many token sequences, walked breadth first: one LSTM step for each distinct
// prefix, whoever shares it.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"

namespace bitlm {

// Rows of one execution: the memory of a level beyond its states is bounded by it.
inline constexpr size_t kMaxExecutionRows = 512;

// One depth of the tree. A node is a distinct prefix of depth + 1 tokens.
struct PrefixLevel {
  size_t depth = 0;
  size_t nodes = 0;
  // The sequences that are read at `depth`, ordered by their nodes, and the node of each.
  std::span<const size_t> items;
  std::span<const size_t> node_of;  // [items.size()], ascending.
  const float* states = nullptr;    // [nodes][state_size], after the prefix.
};

// Where a sequence's walk begins: after `length` of its tokens, at most all, in `state`
// [state_size]; at the zero state, null, when length is 0.
struct PrefixStart {
  size_t length = 0;
  const float* state = nullptr;
};

// Reads every sequence from its start (`starts` has one for each, or is empty: all from zero) and
// calls `visit` for each depth that a sequence has to be read at, in ascending order. States
// live while their level and the next one are computed. Returns the number of LSTM steps, which is
// the number of distinct prefixes that were not
// given. Sequences may be empty.
size_t WalkPrefixes(const LanguageModel& model, std::span<const std::vector<TokenId>> sequences,
                    std::span<const PrefixStart> starts, ThreadPool* pool,
                    const std::function<void(const PrefixLevel&)>& visit);

}  // namespace bitlm
