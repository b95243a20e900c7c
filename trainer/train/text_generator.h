// Sentences drawn from a model's distribution: text on which a teacher was not trained.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "engine/base/thread_pool.h"
#include "engine/model/model.h"
#include "trainer/data/corpus.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {

struct GeneratorOptions {
  int64_t tokens = 0;     // Until so many words and </s> are written; the last sentences end.
  uint64_t seed = 1;      // The same seed and precision give the same text.
  int64_t streams = 256;  // Sentences drawn side by side, a multiple of 32.
  int64_t longest = 200;  // Words; a longer sentence ends there.
  // Divides the logits: below 1, likely words are drawn more often than the model gives them.
  double temperature = 1;
  // Sentences to follow, over and over: a word is drawn with the probability `redraw`, and theirs
  // otherwise; each ends where theirs does. Empty: all words are drawn.
  TokenizedCorpus text{};
  double redraw = 0.25;
  Precision precision = Precision::kFloat32;
};

// Calls write(line) for each sentence, words separated by single spaces; empty ones are left out.
// The state is zero at the start of each, as in the sentence protocol; but a model whose config
// says context = document carries it over, and each stream is then a document, written as a whole,
// its empty sentences as blank lines.
// Errors: FAILED_PRECONDITION when the trainer does not know the model's options, is to follow a
// text with a model of context = document, or the model writes almost nothing but empty sentences.
absl::Status GenerateText(const Model& model, const GeneratorOptions& options, ThreadPool* pool,
                          const std::function<void(std::string_view)>& write);

}  // namespace bitlm::trainer
