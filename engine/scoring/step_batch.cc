#include "engine/scoring/step_batch.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "engine/scoring/prefix_walk.h"

namespace bitlm {

void StepBatch::Execute(const LanguageModel& model, ThreadPool* pool) const {
  for (size_t first = 0; first < tokens.size(); first += kMaxExecutionRows) {
    const size_t count = std::min(kMaxExecutionRows, tokens.size() - first);
    model.Advance(std::span(tokens).subspan(first, count), std::span(states).subspan(first, count),
                  std::span(next).subspan(first, count), pool);
  }
  for (size_t first = 0; first < outputs.size(); first += kMaxExecutionRows) {
    const size_t count = std::min(kMaxExecutionRows, outputs.size() - first);
    model.Output(std::span(outputs).subspan(first, count), pool);
  }
}

}  // namespace bitlm
