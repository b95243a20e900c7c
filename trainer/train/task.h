// Task: what a run trains a network for, which is the head of its model.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/layers/network.h"
#include "trainer/tensor/fast_backend.h"
#include "trainer/train/recipe.h"
#include "trainer/train/run_data.h"

namespace bitlm::trainer {

// What a validation has found, by the trainer's own passes.
struct Validation {
  double perplexity = 0;                      // exp of the mean loss of a target.
  double mean_log_z = 0, mean_abs_log_z = 0;  // Of a language model, nats.
  std::optional<double> accuracy;  // Of a classifier: the part of the sentences that it gets right.

  // What a run makes small: the best weights have the least.
  double measure() const { return accuracy ? 1 - *accuracy : perplexity; }
};

// Stateless.
class Task {
 public:
  virtual ~Task() = default;

  // INVALID_ARGUMENT naming a key of the recipe that has no meaning for the task.
  virtual absl::Status Check(const Recipe& recipe) const = 0;
  // Reads the recipe's texts; what has to be written for the serving engine goes into `directory`.
  // Errors: as ReadRunTexts and ReadLabelledText; INVALID_ARGUMENT when a text has no sentence.
  virtual absl::StatusOr<RunData> ReadData(const Recipe& recipe,
                                           const std::string& directory) const = 0;
  // What the batch's summed loss is multiplied with in the gradients.
  virtual float GradientScale(const Batch& batch) const = 0;
  // `network` has been packed.
  virtual Validation Validate(const Batcher& batcher, Network<FastBackend>* network) const = 0;
  // Of log.csv, after those of every task; with a comma before each.
  virtual std::string_view log_columns() const = 0;
};

// Next words: one target a token.
const Task& LanguageModelTask();
// Classes of sentences ([ZT] section 4.3): one target a sentence, after its last word.
const Task& ClassifierTask();

inline const Task& TaskOf(HeadKind head) {
  return head == HeadKind::kClassifier ? ClassifierTask() : LanguageModelTask();
}

}  // namespace bitlm::trainer
