#include "engine/nn/top_k.h"

#include <algorithm>

namespace bitlm {

void KeepTopK(std::span<const float> logits, TokenId first, size_t k,
              std::vector<ScoredWord>* heap) {
  for (size_t i = 0; i < logits.size(); ++i) {
    // Most words of a full heap end here. (NaN compares false and goes on to the total order.)
    if (heap->size() == k && logits[i] < heap->front().logit) continue;
    const ScoredWord word{.logit = logits[i], .token = first + static_cast<TokenId>(i)};
    if (heap->size() == k) {
      if (!ComesBefore(word, heap->front())) continue;
      std::pop_heap(heap->begin(), heap->end(), ComesBefore);
      heap->back() = word;
    } else {
      heap->push_back(word);
    }
    std::push_heap(heap->begin(), heap->end(), ComesBefore);
  }
}

}  // namespace bitlm
