// bitlm-train eval of a classifier.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"

namespace bitlm::trainer {

// Prints the accuracy of `model` on the labelled file `text`. `directory` is the model's, and
// `weight_bytes` those that it is said to have.
absl::Status PrintClassifierEvaluation(const LanguageModel& model, const std::string& directory,
                                       const std::string& text, uint64_t weight_bytes, bool json,
                                       ThreadPool* pool);

}  // namespace bitlm::trainer
