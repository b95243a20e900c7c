// The state after a context, the plain way.
#pragma once

#include <vector>

#include "engine/nn/language_model.h"
#include "engine/scoring/sentence_scorer.h"

namespace bitlm {

// [state_size] The state after </s> and the words, step by step from zero.
inline std::vector<float> StateAfter(const LanguageModel& model, const TokenizedSentence& context) {
  std::vector<TokenId> tokens = {model.vocabulary().end_of_sentence_id()};
  tokens.insert(tokens.end(), context.tokens.begin(), context.tokens.end());
  std::vector<float> state(model.state_size(), 0.0f);
  for (const TokenId token : tokens) {
    const float* from = state.data();
    float* to = state.data();
    model.Advance({&token, 1}, {&from, 1}, {&to, 1}, nullptr);
  }
  return state;
}

}  // namespace bitlm
