#include "engine/scoring/prefix_walk.h"

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

namespace bitlm {
namespace {

// Where an active sequence stands: its node at the last depth, and its next token.
struct Position {
  size_t parent;
  TokenId token;
  size_t item;
};

}  // namespace

size_t WalkPrefixes(const LanguageModel& model, std::span<const std::vector<TokenId>> sequences,
                    ThreadPool* pool, const std::function<void(const PrefixLevel&)>& visit) {
  std::vector<Position> active;
  for (size_t item = 0; item < sequences.size(); ++item) {
    if (!sequences[item].empty()) {
      active.push_back({.parent = 0, .token = sequences[item][0], .item = item});
    }
  }
  const size_t state_size = model.state_size();
  std::unique_ptr<float[]> states;  // Of the last depth; the root's is the zero state.
  size_t steps = 0;
  for (size_t depth = 0; !active.empty(); ++depth) {
    std::sort(active.begin(), active.end(), [](const Position& a, const Position& b) {
      return std::tie(a.parent, a.token, a.item) < std::tie(b.parent, b.token, b.item);
    });
    std::vector<TokenId> tokens;
    std::vector<const float*> parents;
    std::vector<size_t> items, node_of;
    for (size_t i = 0; i < active.size(); ++i) {
      const Position& position = active[i];
      if (i == 0 || position.parent != active[i - 1].parent ||
          position.token != active[i - 1].token) {
        tokens.push_back(position.token);
        parents.push_back(depth == 0 ? nullptr : states.get() + position.parent * state_size);
      }
      items.push_back(position.item);
      node_of.push_back(tokens.size() - 1);
    }
    auto next_states = std::make_unique_for_overwrite<float[]>(tokens.size() * state_size);
    std::vector<float*> next(tokens.size());
    for (size_t n = 0; n < next.size(); ++n) next[n] = next_states.get() + n * state_size;
    for (size_t first = 0; first < tokens.size(); first += kMaxExecutionRows) {
      const size_t count = std::min(kMaxExecutionRows, tokens.size() - first);
      model.Advance(std::span(tokens).subspan(first, count),
                    std::span(std::as_const(parents)).subspan(first, count),
                    std::span(std::as_const(next)).subspan(first, count), pool);
    }
    steps += tokens.size();
    states = std::move(next_states);
    visit({.depth = depth,
           .nodes = tokens.size(),
           .items = items,
           .node_of = node_of,
           .states = states.get()});
    active.clear();
    for (size_t i = 0; i < items.size(); ++i) {
      const std::vector<TokenId>& sequence = sequences[items[i]];
      if (sequence.size() > depth + 1) {
        active.push_back({.parent = node_of[i], .token = sequence[depth + 1], .item = items[i]});
      }
    }
  }
  return steps;
}

}  // namespace bitlm
