// NextWordWalk: the most probable next words after one context, step by step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/nn/language_model.h"
#include "engine/scoring/next_word.h"
#include "engine/scoring/state_cache.h"
#include "engine/scoring/step_batch.h"

namespace bitlm {

// Reads the context from where the cache leaves it, a token a step, and predicts with the last one:
// Take, Execute of the batch, Finish, until ready() is 0.
class NextWordWalk {
 public:
  // `cache` may be null; it, the model, and `item`'s context and words outlive the walk. Little is
  // held before the first step.
  NextWordWalk(const LanguageModel& model, const NextWordItem& item, StateCache* cache);
  NextWordWalk(const NextWordWalk&) = delete;
  NextWordWalk& operator=(const NextWordWalk&) = delete;

  // 1, at the end 0. It is the end at once if there is nothing to answer.
  size_t ready() const { return done_ ? 0 : 1; }
  // Steps that are left, the output included: at least 1 before the end.
  size_t depth_left() const;

  // Adds the next step, and the output after the last one, to `batch`, which refers to this until
  // Finish.
  void Take(StepBatch* batch);
  // The batch has been computed. The state after the whole context goes into the cache.
  void Finish();

  // The answer, when ready() is 0, once.
  std::vector<TokenScore> TakeWords() { return std::move(words_); }
  // LSTM steps computed so far.
  int64_t steps() const { return steps_; }

 private:
  // Whether the item leaves the word out of its answer.
  bool IsHidden(TokenId token) const;
  // Looks the context up and makes room for the answer.
  void Begin();

  const LanguageModel& model_;
  const NextWordItem item_;
  StateCache* const cache_;
  std::vector<TokenId> among_;      // As OutputRow's.
  std::vector<TokenId> tokens_;     // </s>, then the context.
  StateCache::Prefix start_;        // What the cache had of them.
  size_t read_ = 0;                 // Tokens whose state is known.
  std::unique_ptr<float[]> state_;  // After them, unless it is start_'s.
  std::vector<TokenScore> top_;
  std::vector<TokenScore> words_;
  int64_t steps_ = 0;
  bool begun_ = false;
  bool done_;
};

}  // namespace bitlm
