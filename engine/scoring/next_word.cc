#include "engine/scoring/next_word.h"

#include <deque>
#include <utility>

#include "engine/scoring/next_word_walk.h"
#include "engine/scoring/step_batch.h"

namespace bitlm {

std::vector<std::vector<TokenScore>> NextWords(const LanguageModel& model,
                                               std::span<const NextWordItem> items,
                                               StateCache* cache, ThreadPool* pool) {
  std::deque<NextWordWalk> walks;
  for (const NextWordItem& item : items) walks.emplace_back(model, item, cache);
  while (true) {
    StepBatch batch;
    std::vector<NextWordWalk*> taken;
    for (NextWordWalk& walk : walks) {
      if (walk.ready() == 0) continue;
      walk.Take(&batch);
      taken.push_back(&walk);
    }
    if (taken.empty()) break;
    batch.Execute(model, pool);
    for (NextWordWalk* walk : taken) walk->Finish();
  }
  std::vector<std::vector<TokenScore>> answers;
  for (NextWordWalk& walk : walks) answers.push_back(walk.TakeWords());
  return answers;
}

}  // namespace bitlm
