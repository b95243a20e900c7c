#include "engine/scoring/prefix_walk.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace bitlm {

PrefixWalk::PrefixWalk(size_t state_size, std::vector<std::vector<TokenId>> sequences)
    : state_size_(state_size), sequences_(std::move(sequences)) {
  for (size_t item = 0; item < sequences_.size(); ++item) {
    if (!sequences_[item].empty()) items_.push_back(item);
  }
  std::sort(items_.begin(), items_.end(),
            [&](size_t a, size_t b) { return sequences_[a] < sequences_[b]; });
  const std::vector<TokenId>* last = nullptr;
  for (const size_t item : items_) {
    const std::vector<TokenId>& sequence = sequences_[item];
    longest_ = std::max(longest_, sequence.size());
    steps_left_ += sequence.size();
    if (last != nullptr) {
      const auto [end, last_end] =
          std::mismatch(sequence.begin(), sequence.end(), last->begin(), last->end());
      steps_left_ -= static_cast<size_t>(end - sequence.begin());
    }
    last = &sequence;
  }
  MakeNodes();
}

PrefixNodes PrefixWalk::Take(size_t count) {
  assert(count <= ready());
  if (states_ == nullptr) {
    states_ = std::make_unique_for_overwrite<float[]>(tokens_.size() * state_size_);
    for (size_t n = 0; n < tokens_.size(); ++n) next_.push_back(states_.get() + n * state_size_);
  }
  const size_t first = taken_, last = taken_ + count;
  taken_ = last;
  steps_left_ -= count;
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
  ++depth_;
  size_t kept = 0;
  for (size_t i = 0; i < items_.size(); ++i) {
    if (sequences_[items_[i]].size() <= depth_) continue;
    items_[kept] = items_[i];
    node_of_[kept++] = node_of_[i];
  }
  items_.resize(kept);
  node_of_.resize(kept);
  MakeNodes();
}

void PrefixWalk::MakeNodes() {
  last_ = std::move(states_);
  taken_ = 0;
  tokens_.clear();
  parents_.clear();
  next_.clear();
  node_of_.resize(items_.size());  // At depth 0, all have the same parent.
  size_t last_parent = 0;
  for (size_t i = 0; i < items_.size(); ++i) {
    const size_t parent = node_of_[i];
    const TokenId token = sequences_[items_[i]][depth_];
    if (i == 0 || parent != last_parent || token != tokens_.back()) {
      tokens_.push_back(token);
      parents_.push_back(last_ != nullptr ? last_.get() + parent * state_size_ : nullptr);
    }
    last_parent = parent;
    node_of_[i] = tokens_.size() - 1;
  }
}

}  // namespace bitlm
