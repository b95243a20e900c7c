// Accuracy of a classifier on labelled text, by the serving engine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"

namespace bitlm::trainer {

struct ClassificationResult {
  int64_t sentences = 0;
  int64_t right = 0;       // Whose most probable class is their label; of equal ones the lowest.
  int64_t tokens = 0;      // Words.
  int64_t oov_tokens = 0;  // Of them.
  double logprob = 0;      // Sum of the labels' log-probabilities, nats.
  std::vector<std::vector<int64_t>> confusion;  // [label][answer], sentences.

  double accuracy() const;    // right / sentences.
  double perplexity() const;  // exp(-logprob / sentences).
};

// Classifies the sentences of the labelled file `path` (labelled_text.h; of a tree, its root).
// Errors: as ReadLabelledText; INVALID_ARGUMENT when there is no sentence; FAILED_PRECONDITION when
// the model's head is not a classifier.
absl::StatusOr<ClassificationResult> EvaluateClassifier(const LanguageModel& model,
                                                        const std::string& path, ThreadPool* pool);

}  // namespace bitlm::trainer
