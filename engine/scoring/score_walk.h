// ScoreWalk: the scoring of sentences, step by step, so that others can share the steps' batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/nn/language_model.h"
#include "engine/scoring/prefix_walk.h"
#include "engine/scoring/sentence_scorer.h"
#include "engine/scoring/step_batch.h"

namespace bitlm {

// What one item predicts: the tokens of its sentence that are scored, then perhaps </s>.
class Predictions {
 public:
  Predictions(const ScoreItem& item, TokenId end_of_sentence);

  size_t count() const { return count_; }
  bool IsOov(size_t i) const {
    return first_ + i < sentence_->tokens.size() && sentence_->oov[first_ + i];
  }
  TokenId Target(size_t i) const {
    return first_ + i < sentence_->tokens.size() ? sentence_->tokens[first_ + i] : end_of_sentence_;
  }
  // Whether prediction i needs the model's output.
  bool NeedsModel(size_t i) const {
    return options_.want_ranks || options_.oov_policy != OovPolicy::kFixed || !IsOov(i);
  }
  // The tokens to read: prediction i is made after the first i + 1 of them.
  std::vector<TokenId> Inputs() const;
  const ScoreOptions& options() const { return options_; }

 private:
  const TokenizedSentence* sentence_;
  ScoreOptions options_;
  TokenId end_of_sentence_;
  size_t first_;
  size_t count_ = 0;
};

// Scores items in a prefix tree of their own: Take, Execute of the batch, Finish, until ready()
// is 0. The model and the items' sentences outlive the walk.
class ScoreWalk {
 public:
  ScoreWalk(const LanguageModel& model, std::span<const ScoreItem> items);

  // As PrefixWalk's.
  size_t ready() const { return walk_.ready(); }
  size_t steps_left() const { return walk_.steps_left(); }
  size_t depth_left() const { return walk_.depth_left(); }

  // Adds the next `count` steps, at most ready(), and the outputs after them to `batch`, which
  // refers to this until Finish.
  void Take(size_t count, StepBatch* batch);
  // The batch has been computed.
  void Finish();

  // The scores of the items, in their order; when ready() is 0, once.
  std::vector<SentenceScore> TakeScores();
  const ScoreStatistics& statistics() const { return statistics_; }

 private:
  // A wanted output of the nodes taken.
  struct Edge {
    size_t node;
    bool self_normalized;
    TokenId target;
    size_t item;
    size_t slot = 0;  // Into logprobs_ and ranks_.

    bool SharesRow(const Edge& other) const {
      return node == other.node && self_normalized == other.self_normalized;
    }
  };

  static std::vector<std::vector<TokenId>> Inputs(const std::vector<Predictions>& predictions);

  std::vector<Predictions> predictions_;  // [items]
  PrefixWalk walk_;
  std::vector<SentenceScore> scores_;  // [items]
  ScoreStatistics statistics_;
  // Of the nodes taken: outputs in the order of their rows, distinct targets of all rows, one row's
  // after the other's, and what the batch computes of them.
  size_t depth_ = 0;
  std::vector<Edge> edges_;
  std::vector<TokenId> targets_;
  std::vector<float> logprobs_;
  std::vector<int32_t> ranks_;
};

}  // namespace bitlm
