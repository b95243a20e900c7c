// From a directory of the repository to a model that answers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/model/model_repository.h"
#include "engine/nn/language_model.h"

namespace bitlm {

struct LoadedModel {
  std::string name;
  int64_t version = 0;
  std::shared_ptr<const LanguageModel> model;
  absl::Duration load_time;
};

// Reads the files of a model into memory, proves them, reproduces the golden scores and computes a
// first answer. Errors: those of LoadLanguageModel; FAILED_PRECONDITION for a sound model that the
// server has no call for.
absl::StatusOr<LoadedModel> LoadModel(const ModelLocation& location);

// What tells one state of a model's directory from another without reading the files: their names,
// inodes, sizes and times of change. Empty when it cannot be read.
std::string Fingerprint(const std::string& directory);

// `status` without the path of the model's directory: clients and metrics see it.
absl::Status WithoutPaths(const absl::Status& status, const std::string& directory);

}  // namespace bitlm
