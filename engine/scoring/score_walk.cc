#include "engine/scoring/score_walk.h"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>

namespace bitlm {
namespace {

std::vector<Predictions> MakePredictions(const LanguageModel& model,
                                         std::span<const ScoreItem> items) {
  std::vector<Predictions> predictions;
  predictions.reserve(items.size());
  for (const ScoreItem& item : items) {
    predictions.emplace_back(item, model.vocabulary().end_of_sentence_id());
  }
  return predictions;
}

// Applies the OOV policy and adds up.
void AddUp(const Predictions& predictions, SentenceScore* score) {
  const ScoreOptions& options = predictions.options();
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

Predictions::Predictions(const ScoreItem& item, TokenId end_of_sentence)
    : sentence_(item.sentence),
      options_(item.options),
      end_of_sentence_(end_of_sentence),
      first_(options_.begin_of_sentence || sentence_->tokens.empty() ? 0 : 1) {
  const size_t words = sentence_->tokens.size() - first_;
  // Nothing has been read before the </s> of an empty sentence without a beginning.
  const bool has_context = options_.begin_of_sentence || !sentence_->tokens.empty();
  count_ = words + (options_.end_of_sentence && has_context ? 1 : 0);
}

std::vector<TokenId> Predictions::Inputs() const {
  std::vector<TokenId> inputs;
  inputs.reserve(count_);
  if (options_.begin_of_sentence && count_ > 0) inputs.push_back(end_of_sentence_);
  for (size_t i = 0; inputs.size() < count_; ++i) inputs.push_back(sentence_->tokens[i]);
  return inputs;
}

std::vector<std::vector<TokenId>> ScoreWalk::Inputs(const std::vector<Predictions>& predictions) {
  std::vector<std::vector<TokenId>> inputs;
  inputs.reserve(predictions.size());
  for (const Predictions& item : predictions) inputs.push_back(item.Inputs());
  return inputs;
}

ScoreWalk::ScoreWalk(const LanguageModel& model, std::span<const ScoreItem> items)
    : predictions_(MakePredictions(model, items)),
      walk_(model.state_size(), Inputs(predictions_)),
      scores_(items.size()) {
  for (size_t i = 0; i < items.size(); ++i) {
    const size_t count = predictions_[i].count();
    scores_[i].token_logprobs.resize(count);
    if (items[i].options.want_ranks) scores_[i].token_ranks.resize(count);
    statistics_.tokens += static_cast<int64_t>(count);
  }
}

void ScoreWalk::Take(size_t count, StepBatch* batch) {
  const PrefixNodes nodes = walk_.Take(count);
  batch->tokens.insert(batch->tokens.end(), nodes.tokens.begin(), nodes.tokens.end());
  batch->states.insert(batch->states.end(), nodes.parents.begin(), nodes.parents.end());
  batch->next.insert(batch->next.end(), nodes.states.begin(), nodes.states.end());
  depth_ = nodes.depth;
  edges_.clear();
  for (size_t i = 0; i < nodes.items.size(); ++i) {
    const Predictions& predictions = predictions_[nodes.items[i]];
    if (!predictions.NeedsModel(depth_)) continue;
    edges_.push_back({.node = nodes.node_of[i],
                      .self_normalized = predictions.options().self_normalized,
                      .target = predictions.Target(depth_),
                      .item = nodes.items[i]});
  }
  // Edges of one node and kind make one output row.
  std::sort(edges_.begin(), edges_.end(), [](const Edge& a, const Edge& b) {
    return std::tie(a.node, a.self_normalized, a.target, a.item) <
           std::tie(b.node, b.self_normalized, b.target, b.item);
  });
  targets_.clear();
  for (size_t e = 0; e < edges_.size(); ++e) {
    const bool repeats =
        e > 0 && edges_[e].SharesRow(edges_[e - 1]) && edges_[e].target == edges_[e - 1].target;
    if (!repeats) targets_.push_back(edges_[e].target);
    edges_[e].slot = targets_.size() - 1;
  }
  logprobs_.resize(targets_.size());
  ranks_.resize(targets_.size());
  for (size_t first = 0, last = 0; first < edges_.size(); first = last) {
    bool ranked = false;
    for (; last < edges_.size() && edges_[last].SharesRow(edges_[first]); ++last) {
      ranked = ranked || predictions_[edges_[last].item].options().want_ranks;
    }
    const size_t slot = edges_[first].slot;
    OutputRow& row = batch->outputs.emplace_back();
    row.state = nodes.states[edges_[first].node];
    row.self_normalized = edges_[first].self_normalized;
    row.targets =
        std::span(std::as_const(targets_)).subspan(slot, edges_[last - 1].slot + 1 - slot);
    row.logprobs = logprobs_.data() + slot;
    row.ranks = ranked ? ranks_.data() + slot : nullptr;
    ++statistics_.output_rows;
  }
  statistics_.steps += static_cast<int64_t>(count);
}

void ScoreWalk::Finish() {
  for (const Edge& edge : edges_) {
    SentenceScore& score = scores_[edge.item];
    score.token_logprobs[depth_] = logprobs_[edge.slot];
    if (!score.token_ranks.empty()) score.token_ranks[depth_] = ranks_[edge.slot];
  }
  walk_.Finish();
}

std::vector<SentenceScore> ScoreWalk::TakeScores() {
  for (size_t i = 0; i < scores_.size(); ++i) AddUp(predictions_[i], &scores_[i]);
  return std::move(scores_);
}

}  // namespace bitlm
