// StepBatch: network steps of any number of walks, computed together.
#pragma once

#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"

namespace bitlm {

// Steps of one model, none of which needs what another one of them computes.
struct StepBatch {
  // [B] As LanguageModel::Advance takes them.
  std::vector<TokenId> tokens;
  std::vector<const float*> states;
  std::vector<float*> next;
  // Rows whose states are ready, or among `next`.
  std::vector<OutputRow> outputs;

  // Advances the states, then computes the outputs; at most kMaxExecutionRows at a time. `pool`
  // may be null.
  void Execute(const LanguageModel& model, ThreadPool* pool) const;
};

}  // namespace bitlm
