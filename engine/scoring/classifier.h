// Classes of sentences, by a model with a classifier head ([ZT] section 4.3).
#pragma once

#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/sentence_scorer.h"

namespace bitlm {

// Returns the log-probability of every class, [N] sentences to [N][classes], in nats: the softmax
// of the output layer after the whole sentence has been read, </s> first as by a language model.
// Sentences with the same beginning share its steps. `pool` may be null. The model's head must be a
// classifier.
std::vector<std::vector<float>> Classify(const LanguageModel& model,
                                         std::span<const TokenizedSentence* const> sentences,
                                         ThreadPool* pool);

}  // namespace bitlm
