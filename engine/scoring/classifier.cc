#include "engine/scoring/classifier.h"

#include <cassert>
#include <numeric>

#include "engine/scoring/context_states.h"

namespace bitlm {

std::vector<std::vector<float>> Classify(const LanguageModel& model,
                                         std::span<const TokenizedSentence* const> sentences,
                                         ThreadPool* pool) {
  assert(model.config().head == HeadKind::kClassifier);
  const size_t classes = static_cast<size_t>(model.config().classes);
  const ContextStates states(model, sentences, pool);
  std::vector<TokenId> all(classes);
  std::iota(all.begin(), all.end(), 0);
  std::vector<std::vector<float>> distinct(states.distinct(), std::vector<float>(classes));
  std::vector<OutputRow> rows(states.distinct());
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].state = states.State(i);
    rows[i].targets = all;
    rows[i].logprobs = distinct[i].data();
  }
  model.Output(rows, pool);
  std::vector<std::vector<float>> answers;
  for (size_t i = 0; i < sentences.size(); ++i) answers.push_back(distinct[states.Of(i)]);
  return answers;
}

}  // namespace bitlm
