#include "engine/scoring/sentence_scorer.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "engine/scoring/prefix_walk.h"
#include "engine/scoring/score_items.h"

namespace bitlm {
namespace {

// What one item predicts: the tokens of its sentence that are scored, then perhaps </s>.
class Predictions {
 public:
  Predictions(const ScoreItem& item, TokenId end_of_sentence)
      : sentence_(*item.sentence),
        options_(item.options),
        end_of_sentence_(end_of_sentence),
        first_(options_.begin_of_sentence || sentence_.tokens.empty() ? 0 : 1) {
    const size_t words = sentence_.tokens.size() - first_;
    // Nothing has been read before the </s> of an empty sentence without a beginning.
    const bool has_context = options_.begin_of_sentence || !sentence_.tokens.empty();
    count_ = words + (options_.end_of_sentence && has_context ? 1 : 0);
  }

  size_t count() const { return count_; }
  bool IsOov(size_t i) const {
    return first_ + i < sentence_.tokens.size() && sentence_.oov[first_ + i];
  }
  TokenId Target(size_t i) const {
    return first_ + i < sentence_.tokens.size() ? sentence_.tokens[first_ + i] : end_of_sentence_;
  }
  // Whether prediction i needs the model's output.
  bool NeedsModel(size_t i) const {
    return options_.want_ranks || options_.oov_policy != OovPolicy::kFixed || !IsOov(i);
  }
  // The tokens to read: prediction i is made after the first i + 1 of them.
  std::vector<TokenId> Inputs() const {
    std::vector<TokenId> inputs;
    inputs.reserve(count_);
    if (options_.begin_of_sentence && count_ > 0) inputs.push_back(end_of_sentence_);
    for (size_t i = 0; inputs.size() < count_; ++i) inputs.push_back(sentence_.tokens[i]);
    return inputs;
  }

 private:
  const TokenizedSentence& sentence_;
  const ScoreOptions& options_;
  const TokenId end_of_sentence_;
  const size_t first_;
  size_t count_ = 0;
};

// A wanted output of a level.
struct Edge {
  size_t node;
  bool self_normalized;
  TokenId target;
  size_t item;

  // Edges of one output row are neighbours.
  auto Order() const { return std::tie(node, self_normalized, target, item); }
  bool SharesRow(const Edge& other) const {
    return node == other.node && self_normalized == other.self_normalized;
  }
};

// Collects the outputs of one level after another into the scores of the items.
class LevelScorer {
 public:
  LevelScorer(const LanguageModel& model, std::span<const ScoreItem> items,
              std::span<const Predictions> predictions, ThreadPool* pool,
              ScoreStatistics* statistics, std::vector<SentenceScore>* scores)
      : model_(model),
        items_(items),
        predictions_(predictions),
        pool_(pool),
        statistics_(statistics),
        scores_(*scores) {}

  void Visit(const PrefixLevel& level) {
    std::vector<Edge> edges;
    for (size_t i = 0; i < level.items.size(); ++i) {
      const size_t item = level.items[i];
      if (!predictions_[item].NeedsModel(level.depth)) continue;
      edges.push_back({.node = level.node_of[i],
                       .self_normalized = items_[item].options.self_normalized,
                       .target = predictions_[item].Target(level.depth),
                       .item = item});
    }
    std::sort(edges.begin(), edges.end(),
              [](const Edge& a, const Edge& b) { return a.Order() < b.Order(); });
    // Edges of one node and kind make one output row; up to kMaxExecutionRows rows make one
    // execution.
    size_t begin = 0;
    while (begin < edges.size()) {
      size_t end = begin;
      for (size_t rows = 0; end < edges.size(); ++end) {
        if ((end == begin || !edges[end].SharesRow(edges[end - 1])) && ++rows > kMaxExecutionRows) {
          break;
        }
      }
      Execute(level, std::span(edges).subspan(begin, end - begin));
      begin = end;
    }
  }

 private:
  void Execute(const PrefixLevel& level, std::span<const Edge> edges) {
    // Distinct targets of all rows, one after the other, and where each edge finds its own.
    std::vector<TokenId> targets;
    std::vector<size_t> slot(edges.size());
    std::vector<size_t> row_begin;      // Into `targets`.
    std::vector<const Edge*> row_edge;  // The first of each row.
    std::vector<bool> row_ranked;
    for (size_t e = 0; e < edges.size(); ++e) {
      const bool new_row = e == 0 || !edges[e].SharesRow(edges[e - 1]);
      if (new_row) {
        row_begin.push_back(targets.size());
        row_edge.push_back(&edges[e]);
        row_ranked.push_back(false);
      }
      if (new_row || edges[e].target != edges[e - 1].target) targets.push_back(edges[e].target);
      slot[e] = targets.size() - 1;
      if (items_[edges[e].item].options.want_ranks) row_ranked.back() = true;
    }
    std::vector<float> logprobs(targets.size());
    std::vector<int32_t> ranks(targets.size());
    std::vector<OutputRow> rows(row_edge.size());
    for (size_t r = 0; r < rows.size(); ++r) {
      const size_t first = row_begin[r];
      const size_t last = r + 1 < rows.size() ? row_begin[r + 1] : targets.size();
      rows[r].state = level.states + row_edge[r]->node * model_.state_size();
      rows[r].self_normalized = row_edge[r]->self_normalized;
      rows[r].targets = std::span(std::as_const(targets)).subspan(first, last - first);
      rows[r].logprobs = logprobs.data() + first;
      rows[r].ranks = row_ranked[r] ? ranks.data() + first : nullptr;
    }
    model_.Output(rows, pool_);
    statistics_->output_rows += static_cast<int64_t>(rows.size());
    for (size_t e = 0; e < edges.size(); ++e) {
      SentenceScore& score = scores_[edges[e].item];
      score.token_logprobs[level.depth] = logprobs[slot[e]];
      if (items_[edges[e].item].options.want_ranks) {
        score.token_ranks[level.depth] = ranks[slot[e]];
      }
    }
  }

  const LanguageModel& model_;
  const std::span<const ScoreItem> items_;
  const std::span<const Predictions> predictions_;
  ThreadPool* const pool_;
  ScoreStatistics* const statistics_;
  std::vector<SentenceScore>& scores_;
};

// Applies the OOV policy and adds up.
void Finish(const ScoreOptions& options, const Predictions& predictions, SentenceScore* score) {
  for (size_t i = 0; i < predictions.count(); ++i) {
    float& logprob = score->token_logprobs[i];
    if (predictions.IsOov(i)) {
      if (options.oov_policy == OovPolicy::kFixed) {
        logprob = static_cast<float>(options.oov_logprob);
      } else if (options.oov_policy == OovPolicy::kOffset) {
        logprob = static_cast<float>(static_cast<double>(logprob) + options.oov_logprob);
      }
      score->oov_logprob += static_cast<double>(logprob);
      ++score->oov_count;
    }
    score->logprob += static_cast<double>(logprob);
  }
}

}  // namespace

std::vector<SentenceScore> ScoreItems(const LanguageModel& model, std::span<const ScoreItem> items,
                                      ThreadPool* pool, ScoreStatistics* statistics) {
  std::vector<SentenceScore> scores(items.size());
  std::vector<Predictions> predictions;
  std::vector<std::vector<TokenId>> inputs;
  predictions.reserve(items.size());
  inputs.reserve(items.size());
  ScoreStatistics counted;
  for (size_t i = 0; i < items.size(); ++i) {
    predictions.emplace_back(items[i], model.vocabulary().end_of_sentence_id());
    inputs.push_back(predictions[i].Inputs());
    scores[i].token_logprobs.resize(predictions[i].count());
    if (items[i].options.want_ranks) scores[i].token_ranks.resize(predictions[i].count());
    counted.tokens += static_cast<int64_t>(predictions[i].count());
  }
  LevelScorer scorer(model, items, predictions, pool, &counted, &scores);
  counted.steps = static_cast<int64_t>(WalkPrefixes(
      model, inputs, {}, pool, [&](const PrefixLevel& level) { scorer.Visit(level); }));
  for (size_t i = 0; i < items.size(); ++i) Finish(items[i].options, predictions[i], &scores[i]);
  if (statistics != nullptr) *statistics = counted;
  return scores;
}

SentenceScorer::SentenceScorer(std::shared_ptr<const LanguageModel> model)
    : model_(std::move(model)) {}

std::vector<SentenceScore> SentenceScorer::Score(std::span<const ScoreItem> items, ThreadPool* pool,
                                                 ScoreStatistics* statistics) const {
  return ScoreItems(*model_, items, pool, statistics);
}

}  // namespace bitlm
