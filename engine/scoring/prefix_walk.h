// The prefix tree of many token sequences, walked breadth first: one LSTM step for each distinct
// prefix, whoever shares it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "engine/nn/language_model.h"

namespace bitlm {

// Rows of one execution: the memory of an execution beyond its states is bounded by it.
inline constexpr size_t kMaxExecutionRows = 512;

// Nodes of one depth of the tree. A node is a distinct prefix of depth + 1 tokens.
struct PrefixNodes {
  size_t depth = 0;
  // [N] What makes them: the token to read, the state before it (null: zero), the state after it.
  std::span<const TokenId> tokens;
  std::span<const float* const> parents;
  std::span<float* const> states;
  // The sequences that read these tokens, ordered by node, and the node of each in [0, N).
  std::span<const size_t> items;
  std::span<const size_t> node_of;
};

// A walk in portions. It computes nothing: its user takes nodes, computes their states, alone or
// beside those of other walks, and says so.
class PrefixWalk {
 public:
  // Sequences are read from the zero state and may be empty. No states are held before Take.
  PrefixWalk(size_t state_size, std::vector<std::vector<TokenId>> sequences);
  PrefixWalk(const PrefixWalk&) = delete;
  PrefixWalk& operator=(const PrefixWalk&) = delete;

  // Nodes whose states can be computed now; 0 only at the end.
  size_t ready() const { return tokens_.size() - taken_; }
  // Nodes that have not been taken, and at most how many of them follow each other.
  size_t steps_left() const { return steps_left_; }
  size_t depth_left() const { return steps_left_ > 0 ? longest_ - depth_ : 0; }
  // The next nodes, `count` of them, at most ready(). Valid until Finish; their states are as long
  // as the next depth is being computed.
  PrefixNodes Take(size_t count);
  // The states of the nodes taken have been computed.
  void Finish();

  const std::vector<std::vector<TokenId>>& sequences() const { return sequences_; }

 private:
  // Makes the nodes of depth_ for the sequences items_, whose nodes of the depth before are
  // node_of_ (empty at depth 0).
  void MakeNodes();

  size_t state_size_;
  std::vector<std::vector<TokenId>> sequences_;
  size_t longest_ = 0;  // Sequence's tokens.
  size_t steps_left_ = 0;
  size_t depth_ = 0;
  size_t taken_ = 0;                        // Nodes of this depth.
  std::unique_ptr<float[]> last_, states_;  // Of the depth before, of this one.
  std::vector<TokenId> tokens_;             // [nodes], and so on, as PrefixNodes has them.
  std::vector<const float*> parents_;
  std::vector<float*> next_;
  // In the order of the sequences' tokens, so that those with a common prefix are neighbours.
  std::vector<size_t> items_;
  std::vector<size_t> node_of_, portion_node_of_;
};

}  // namespace bitlm
