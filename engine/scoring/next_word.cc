#include "engine/scoring/next_word.h"

#include <algorithm>
#include <cassert>

#include "engine/scoring/prefix_walk.h"

namespace bitlm {
namespace {

// Words that the item leaves out of its answer.
bool IsHidden(const NextWordOptions& options, const Vocabulary& vocabulary, TokenId token) {
  return (!options.allow_unknown && token == vocabulary.unknown_id()) ||
         (!options.allow_end_of_sentence && token == vocabulary.end_of_sentence_id());
}

}  // namespace

std::vector<std::vector<TokenScore>> NextWords(const LanguageModel& model,
                                               std::span<const NextWordItem> items,
                                               ThreadPool* pool) {
  const Vocabulary& vocabulary = model.vocabulary();
  std::vector<std::vector<TokenScore>> answers(items.size());
  std::vector<std::vector<TokenId>> inputs;
  inputs.reserve(items.size());
  for (const NextWordItem& item : items) {
    assert(item.options.top_k >= 1 && item.options.top_k <= vocabulary.size());
    std::vector<TokenId>& sequence = inputs.emplace_back();
    sequence.push_back(vocabulary.end_of_sentence_id());
    sequence.insert(sequence.end(), item.context->tokens.begin(), item.context->tokens.end());
  }
  WalkPrefixes(model, inputs, {}, pool, [&](const PrefixLevel& level) {
    // Rows of the nodes where contexts end; each takes the most that any of them asks for.
    std::vector<OutputRow> rows;
    std::vector<size_t> row_of(level.items.size());
    std::vector<std::vector<TokenScore>> tops;
    size_t last_node = level.nodes;
    for (size_t i = 0; i < level.items.size(); ++i) {
      const size_t item = level.items[i];
      if (inputs[item].size() != level.depth + 1) continue;
      if (level.node_of[i] != last_node) {
        last_node = level.node_of[i];
        rows.emplace_back().state = level.states + last_node * model.state_size();
      }
      // Two more, in case the hidden words are among them.
      rows.back().top_k =
          std::max(rows.back().top_k, std::min(items[item].options.top_k + 2, vocabulary.size()));
      row_of[i] = rows.size() - 1;
    }
    tops.reserve(rows.size());
    for (OutputRow& row : rows) {
      row.top = tops.emplace_back(static_cast<size_t>(row.top_k)).data();
    }
    for (size_t first = 0; first < rows.size(); first += kMaxExecutionRows) {
      model.Output(std::span(std::as_const(rows))
                       .subspan(first, std::min(kMaxExecutionRows, rows.size() - first)),
                   pool);
    }
    for (size_t i = 0; i < level.items.size(); ++i) {
      const size_t item = level.items[i];
      if (inputs[item].size() != level.depth + 1) continue;
      const NextWordOptions& options = items[item].options;
      for (const TokenScore& word : tops[row_of[i]]) {
        if (answers[item].size() == static_cast<size_t>(options.top_k)) break;
        if (!IsHidden(options, vocabulary, word.token)) answers[item].push_back(word);
      }
    }
  });
  return answers;
}

}  // namespace bitlm
