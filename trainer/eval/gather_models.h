// The models of a comparison: directories and whole repositories, loaded and named.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/nn/language_model.h"

namespace bitlm::trainer {

struct NamedModel {
  std::string name;  // Distinct, unless one directory is given twice.
  std::shared_ptr<const LanguageModel> engine;
};

// Loads the model directories, which keep their models' own names, then every language model of the
// repositories, named as there. Where names are equal, the directory, or name/version, takes their
// place. Models of a repository that this engine cannot compute, and classifiers, are left out;
// `left_out` receives why. Errors: those of LoadLanguageModel and ListModels; NOT_FOUND for a
// repository without models; FAILED_PRECONDITION for the directory of a classifier.
absl::StatusOr<std::vector<NamedModel>> GatherModels(std::span<const std::string> directories,
                                                     std::span<const std::string> repositories,
                                                     std::vector<std::string>* left_out);

// Whether all models see the same words in a text, so that their perplexities compare: one
// vocabulary, in any order, and one normalization. `models` must not be empty.
bool SeeSameWords(std::span<const NamedModel> models);

}  // namespace bitlm::trainer
