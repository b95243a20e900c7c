#include "engine/scoring/next_word.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <utility>

#include "engine/scoring/context_states.h"
#include "engine/scoring/prefix_walk.h"

namespace bitlm {
namespace {

// Words to choose from that the rows of one execution hold together, unless a single row has more.
constexpr size_t kMaxExecutionWords = size_t{1} << 20;

// Words that the item leaves out of its answer.
bool IsHidden(const NextWordOptions& options, const Vocabulary& vocabulary, TokenId token) {
  return (!options.allow_unknown && token == vocabulary.unknown_id()) ||
         (!options.allow_end_of_sentence && token == vocabulary.end_of_sentence_id());
}

// Whether any word may be answered.
bool HasAnswer(const NextWordItem& item, const Vocabulary& vocabulary) {
  return !item.among || std::any_of(item.among->begin(), item.among->end(), [&](TokenId token) {
    return !IsHidden(item.options, vocabulary, token);
  });
}

// An output row and what it answers.
struct Row {
  const float* state = nullptr;
  bool self_normalized = false;
  std::vector<size_t> items = {};   // Those without words of their own, or a single one.
  int top_k = 0;                    // The most that any of them asks for.
  std::vector<TokenId> among = {};  // As OutputRow's.
  std::vector<TokenScore> top = {};
};

// Makes rows of items, and answers of their outputs.
class Predictor {
 public:
  Predictor(const LanguageModel& model, std::span<const NextWordItem> items, ThreadPool* pool,
            std::vector<std::vector<TokenScore>>* answers)
      : model_(model),
        vocabulary_(model.vocabulary()),
        items_(items),
        pool_(pool),
        answers_(*answers) {}

  // Predicts for pairs of an item and the state after its context, those with one state side by
  // side.
  void Predict(std::span<const std::pair<size_t, const float*>> ends) {
    Row shared[2];  // Normalized, self-normalized.
    for (const auto& [item, state] : ends) {
      const NextWordOptions& options = items_[item].options;
      if (items_[item].among) {
        AddRow(OwnRow(item, state));
        continue;
      }
      Row& row = shared[options.self_normalized ? 1 : 0];
      if (row.state != state) {
        AddRow(std::exchange(row, {.state = state, .self_normalized = options.self_normalized}));
      }
      row.items.push_back(item);
      // Two more, in case the hidden words are among them.
      row.top_k = std::max(row.top_k, std::min(options.top_k + 2, vocabulary_.size()));
    }
    for (Row& row : shared) AddRow(std::move(row));
    Execute();
  }

 private:
  // A row for an item with words of its own.
  Row OwnRow(size_t item, const float* state) const {
    const NextWordOptions& options = items_[item].options;
    Row row{.state = state, .self_normalized = options.self_normalized, .items = {item}};
    std::copy_if(items_[item].among->begin(), items_[item].among->end(),
                 std::back_inserter(row.among),
                 [&](TokenId token) { return !IsHidden(options, vocabulary_, token); });
    std::sort(row.among.begin(), row.among.end());
    row.among.erase(std::unique(row.among.begin(), row.among.end()), row.among.end());
    row.top_k = std::min(options.top_k, static_cast<int>(row.among.size()));
    return row;
  }

  // The memory of an execution is bounded by its rows and their words.
  void AddRow(Row row) {
    if (row.items.empty()) return;
    if (rows_.size() == kMaxExecutionRows ||
        (!rows_.empty() && words_ + row.among.size() > kMaxExecutionWords)) {
      Execute();
    }
    words_ += row.among.size();
    rows_.push_back(std::move(row));
  }

  void Execute() {
    std::vector<OutputRow> outputs(rows_.size());
    for (size_t r = 0; r < rows_.size(); ++r) {
      rows_[r].top.resize(static_cast<size_t>(rows_[r].top_k));
      outputs[r].state = rows_[r].state;
      outputs[r].top_k = rows_[r].top_k;
      outputs[r].top = rows_[r].top.data();
      outputs[r].among = rows_[r].among;
      outputs[r].self_normalized = rows_[r].self_normalized;
    }
    model_.Output(outputs, pool_);
    for (const Row& row : rows_) {
      for (const size_t item : row.items) Answer(row, item);
    }
    rows_.clear();
    words_ = 0;
  }

  void Answer(const Row& row, size_t item) {
    const NextWordOptions& options = items_[item].options;
    for (const TokenScore& word : row.top) {
      if (answers_[item].size() == static_cast<size_t>(options.top_k)) break;
      if (!IsHidden(options, vocabulary_, word.token)) answers_[item].push_back(word);
    }
  }

  const LanguageModel& model_;
  const Vocabulary& vocabulary_;
  const std::span<const NextWordItem> items_;
  ThreadPool* const pool_;
  std::vector<std::vector<TokenScore>>& answers_;
  std::vector<Row> rows_;  // Not executed yet.
  size_t words_ = 0;       // Theirs to choose from.
};

}  // namespace

std::vector<std::vector<TokenScore>> NextWords(const LanguageModel& model,
                                               std::span<const NextWordItem> items,
                                               StateCache* cache, ThreadPool* pool) {
  const Vocabulary& vocabulary = model.vocabulary();
  std::vector<std::vector<TokenScore>> answers(items.size());
  std::vector<size_t> asked;  // Items that have an answer.
  std::vector<const TokenizedSentence*> contexts;
  for (size_t i = 0; i < items.size(); ++i) {
    assert(items[i].options.top_k >= 1);
    assert(items[i].among || items[i].options.top_k <= vocabulary.size());
    if (!HasAnswer(items[i], vocabulary)) continue;
    asked.push_back(i);
    contexts.push_back(items[i].context);
  }
  const ContextStates states(model, contexts, cache, pool);
  // Items whose contexts are the same may share a row.
  std::vector<size_t> order(asked.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return states.Of(a) < states.Of(b); });
  std::vector<std::pair<size_t, const float*>> ends;
  for (const size_t i : order) ends.emplace_back(asked[i], states.State(states.Of(i)));
  Predictor(model, items, pool, &answers).Predict(ends);
  return answers;
}

}  // namespace bitlm
