#include "engine/scoring/step_batch.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "engine/scoring/prefix_walk.h"

namespace bitlm {
namespace {

// Words to choose from that the rows of one execution hold together, unless a single row has more.
constexpr size_t kMaxExecutionWords = size_t{1} << 20;

}  // namespace

void StepBatch::Execute(const LanguageModel& model, ThreadPool* pool) const {
  for (size_t first = 0; first < tokens.size(); first += kMaxExecutionRows) {
    const size_t count = std::min(kMaxExecutionRows, tokens.size() - first);
    model.Advance(std::span(tokens).subspan(first, count), std::span(states).subspan(first, count),
                  std::span(next).subspan(first, count), pool);
  }
  for (size_t first = 0, last = 0; first < outputs.size(); first = last) {
    size_t words = 0;
    do {
      words += outputs[last++].among.size();
    } while (last < outputs.size() && last - first < kMaxExecutionRows &&
             words + outputs[last].among.size() <= kMaxExecutionWords);
    model.Output(std::span(outputs).subspan(first, last - first), pool);
  }
}

}  // namespace bitlm
