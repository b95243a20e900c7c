// The most probable next words after a context.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/sentence_scorer.h"
#include "engine/scoring/state_cache.h"

namespace bitlm {

struct NextWordOptions {
  int top_k = 10;                     // At least 1; without `among` at most V.
  bool allow_unknown = false;         // Whether <unk> may be among the answers.
  bool allow_end_of_sentence = true;  // Whether </s> may be.
  // As ScoreOptions::self_normalized. Words among given ones then cost these and not the
  // vocabulary.
  bool self_normalized = false;
};

struct NextWordItem {
  const TokenizedSentence* context = nullptr;  // From the start of the sentence; may be empty.
  NextWordOptions options;
  // The words to choose from, in any order, repeats allowed; none: nothing is answered. Default:
  // the vocabulary. Ids in [0, V).
  std::optional<std::span<const TokenId>> among = std::nullopt;
};

// For each context its most probable next words, most probable first, ties by lower id; fewer than
// top_k when fewer may be answered. Log-probabilities are those of the full distribution: leaving
// words out does not renormalize. States of contexts come from `cache` and go into it; it and
// `pool` may be null.
std::vector<std::vector<TokenScore>> NextWords(const LanguageModel& model,
                                               std::span<const NextWordItem> items,
                                               StateCache* cache, ThreadPool* pool);

}  // namespace bitlm
