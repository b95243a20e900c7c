// Golden sentences: the proof that a loaded model still gives the scores that it was written with.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/nn/language_model.h"

namespace bitlm {

// Scores the golden sentences of the model (sentence protocol, </s> included; by a classifier: the
// log-probability of class 0) and compares bit for bit. A model without any passes. Errors:
// DATA_LOSS for a score that differs, naming the sentence by its number and both values;
// FAILED_PRECONDITION when the model was written for another version of the numerics;
// INVALID_ARGUMENT for a golden text that cannot be read.
absl::Status CheckGoldenSentences(const LanguageModel& model);

// The golden sentences that `texts` make with this model. Errors: INVALID_ARGUMENT as Tokenize.
absl::StatusOr<std::vector<GoldenSentence>> ComputeGoldenSentences(
    const LanguageModel& model, std::span<const std::string> texts);

}  // namespace bitlm
