// The most probable next words after a context.
#pragma once

#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/sentence_scorer.h"

namespace bitlm {

struct NextWordOptions {
  int top_k = 10;                     // Range [1, V].
  bool allow_unknown = false;         // Whether <unk> may be among the answers.
  bool allow_end_of_sentence = true;  // Whether </s> may be.
};

struct NextWordItem {
  const TokenizedSentence* context = nullptr;  // From the start of the sentence; may be empty.
  NextWordOptions options;
};

// For each context its most probable next words, most probable first, ties by lower id.
// Log-probabilities are those of the full distribution: leaving <unk> or </s> out does not
// renormalize. Shared prefixes of the contexts are computed once.
std::vector<std::vector<TokenScore>> NextWords(const LanguageModel& model,
                                               std::span<const NextWordItem> items,
                                               ThreadPool* pool);

}  // namespace bitlm
