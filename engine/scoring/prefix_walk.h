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
  // The sequences longer than `depth`, ordered by their nodes, and the node of each.
  std::span<const size_t> items;
  std::span<const size_t> node_of;  // [items.size()], ascending.
  const float* states = nullptr;    // [nodes][state_size], after the prefix.
};

// Reads every sequence from the zero state and calls `visit` once for each depth, from 0 on. States
// live while their level and the next one are computed. Returns the number of LSTM steps, which is
// the number of distinct non-empty prefixes. Sequences may be empty.
size_t WalkPrefixes(const LanguageModel& model, std::span<const std::vector<TokenId>> sequences,
                    ThreadPool* pool, const std::function<void(const PrefixLevel&)>& visit);

}  // namespace bitlm
