// The one way from a model directory to a model that answers: read, prove, pack, reproduce.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/nn/language_model.h"

namespace bitlm {

// Reads the model in `directory`, makes the CPU implementation and checks the golden sentences.
// Only the packed weights stay in memory. Errors: those of ReadModel, MakeCpuLanguageModel and
// CheckGoldenSentences, each naming the directory.
absl::StatusOr<std::shared_ptr<const LanguageModel>> LoadLanguageModel(
    const std::string& directory);

}  // namespace bitlm
