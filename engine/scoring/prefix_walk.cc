#include "engine/scoring/prefix_walk.h"

#include <algorithm>
#include <cassert>
#include <tuple>
#include <utility>

namespace bitlm {

PrefixWalk::PrefixWalk(size_t state_size, std::vector<std::vector<TokenId>> sequences)
    : state_size_(state_size), sequences_(std::move(sequences)) {
  std::vector<Position> active;
  for (size_t item = 0; item < sequences_.size(); ++item) {
    longest_ = std::max(longest_, sequences_[item].size());
    if (!sequences_[item].empty()) {
      active.push_back({.parent = 0, .token = sequences_[item][0], .item = item});
    }
  }
  MakeNodes(std::move(active));
}

PrefixNodes PrefixWalk::Take(size_t count) {
  assert(count <= ready());
  const size_t first = taken_, last = taken_ + count;
  taken_ = last;
  const auto begin = std::lower_bound(node_of_.begin(), node_of_.end(), first);
  const auto end = std::lower_bound(begin, node_of_.end(), last);
  portion_node_of_.clear();
  for (auto node = begin; node != end; ++node) portion_node_of_.push_back(*node - first);
  return {.depth = depth_,
          .tokens = std::span(std::as_const(tokens_)).subspan(first, count),
          .parents = std::span(std::as_const(parents_)).subspan(first, count),
          .states = std::span(std::as_const(next_)).subspan(first, count),
          .items = std::span(std::as_const(items_))
                       .subspan(static_cast<size_t>(begin - node_of_.begin()),
                                static_cast<size_t>(end - begin)),
          .node_of = portion_node_of_};
}

void PrefixWalk::Finish() {
  if (taken_ < tokens_.size()) return;
  std::vector<Position> active;
  for (size_t i = 0; i < items_.size(); ++i) {
    const std::vector<TokenId>& sequence = sequences_[items_[i]];
    if (sequence.size() > depth_ + 1) {
      active.push_back({.parent = node_of_[i], .token = sequence[depth_ + 1], .item = items_[i]});
    }
  }
  ++depth_;
  MakeNodes(std::move(active));
}

void PrefixWalk::MakeNodes(std::vector<Position> active) {
  last_ = std::move(states_);
  taken_ = 0;
  tokens_.clear();
  parents_.clear();
  next_.clear();
  items_.clear();
  node_of_.clear();
  std::sort(active.begin(), active.end(), [](const Position& a, const Position& b) {
    return std::tie(a.parent, a.token, a.item) < std::tie(b.parent, b.token, b.item);
  });
  for (size_t i = 0; i < active.size(); ++i) {
    const Position& position = active[i];
    if (i == 0 || position.parent != active[i - 1].parent ||
        position.token != active[i - 1].token) {
      tokens_.push_back(position.token);
      parents_.push_back(last_ != nullptr ? last_.get() + position.parent * state_size_ : nullptr);
    }
    items_.push_back(position.item);
    node_of_.push_back(tokens_.size() - 1);
  }
  states_ = std::make_unique_for_overwrite<float[]>(tokens_.size() * state_size_);
  for (size_t n = 0; n < tokens_.size(); ++n) next_.push_back(states_.get() + n * state_size_);
}

}  // namespace bitlm
