// Loads every model of a repository.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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

struct LoadResult {
  std::vector<LoadedModel> loaded;
  // Models that could not be loaded, and why.
  std::vector<std::pair<ModelLocation, absl::Status>> failed;
  // Version directories without config.json.
  std::vector<std::string> skipped;
};

// Loads all versions of all models of `repository`: reads, proves, and reproduces the golden
// scores. Errors: NOT_FOUND when `repository` is not a directory or holds no model.
absl::StatusOr<LoadResult> LoadRepository(const std::string& repository);

}  // namespace bitlm
