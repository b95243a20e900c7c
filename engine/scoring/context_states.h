// ContextStates: the states after whole contexts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/sentence_scorer.h"

namespace bitlm {

// Reads contexts from the start of a sentence: </s>, then their words. Shared prefixes are computed
// once.
class ContextStates {
 public:
  // `pool` may be null.
  ContextStates(const LanguageModel& model, std::span<const TokenizedSentence* const> contexts,
                ThreadPool* pool);

  // Distinct contexts, the one of each context, and the state after it.
  size_t distinct() const { return states_.size(); }
  size_t Of(size_t context) const { return of_[context]; }
  const float* State(size_t distinct) const { return states_[distinct].get(); }
  // LSTM steps that were computed.
  int64_t steps() const { return steps_; }

 private:
  std::vector<size_t> of_;
  std::vector<std::unique_ptr<float[]>> states_;
  int64_t steps_ = 0;
};

}  // namespace bitlm
