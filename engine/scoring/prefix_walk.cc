#include "engine/scoring/prefix_walk.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

namespace bitlm {
namespace {

// Where an active sequence stands: its node at the last depth, or, beyond those, the start that it
// begins with; and its next token.
struct Position {
  size_t parent;
  TokenId token;
  size_t item;
};

}  // namespace

size_t WalkPrefixes(const LanguageModel& model, std::span<const std::vector<TokenId>> sequences,
                    std::span<const PrefixStart> starts, ThreadPool* pool,
                    const std::function<void(const PrefixLevel&)>& visit) {
  // The sequences by the depths at which they begin, and a number for each state.
  std::map<size_t, std::vector<size_t>> beginning;
  std::map<const float*, size_t> numbers;
  std::vector<const float*> given;
  std::vector<size_t> start_of(sequences.size());
  for (size_t item = 0; item < sequences.size(); ++item) {
    const PrefixStart start = starts.empty() ? PrefixStart{} : starts[item];
    if (start.length == sequences[item].size()) continue;
    const auto [known, inserted] = numbers.try_emplace(start.state, given.size());
    if (inserted) given.push_back(start.state);
    start_of[item] = known->second;
    beginning[start.length].push_back(item);
  }
  const size_t state_size = model.state_size();
  std::unique_ptr<float[]> states;  // Of the last depth.
  size_t nodes = 0;                 // Likewise.
  size_t steps = 0;
  std::vector<Position> active;
  for (size_t depth = 0; !active.empty() || !beginning.empty(); ++depth) {
    if (active.empty()) depth = beginning.begin()->first;
    if (const auto begin = beginning.find(depth); begin != beginning.end()) {
      for (const size_t item : begin->second) {
        active.push_back(
            {.parent = nodes + start_of[item], .token = sequences[item][depth], .item = item});
      }
      beginning.erase(begin);
    }
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
        parents.push_back(position.parent < nodes ? states.get() + position.parent * state_size
                                                  : given[position.parent - nodes]);
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
    nodes = tokens.size();
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
