// ModelRepository: finds models in <repository>/<name>/<version>/, the layout of Triton and
// TensorFlow Serving.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bitlm {

struct ModelLocation {
  std::string name;
  int64_t version = 0;
  std::string directory;
};

// Every <name>/<version>/ of `repository` that holds a config.json, sorted by name, then version.
// Names match [A-Za-z0-9][A-Za-z0-9._-]*; versions are positive integers without leading zeros;
// anything else is skipped, as Triton does; version directories that lack only the config.json are
// added to `skipped` unless it is null. Errors: NOT_FOUND when `repository` is not a directory.
absl::StatusOr<std::vector<ModelLocation>> ListModels(const std::string& repository,
                                                      std::vector<std::string>* skipped = nullptr);

}  // namespace bitlm
