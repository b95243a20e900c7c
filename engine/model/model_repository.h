// ModelRepository: finds models in <repository>/<name>/<version>/, the layout of Triton and
// TensorFlow Serving.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bitlm {

// Whether `name` matches [A-Za-z0-9][A-Za-z0-9._-]*: others are not found in a repository.
bool IsModelName(std::string_view name);
// That in words, for messages.
inline constexpr char kModelNameForm[] = "a name of letters, digits, \".\", \"_\" and \"-\"";

struct ModelLocation {
  std::string name;
  int64_t version = 0;
  std::string directory;
};

// Every <name>/<version>/ of `repository` that holds a config.json, sorted by name, then version.
// Names satisfy IsModelName; versions are positive integers without leading zeros;
// anything else is skipped, as Triton does; version directories that lack only the config.json are
// added to `skipped` unless it is null. Errors: NOT_FOUND when `repository` is not a directory,
// INTERNAL when it or a model's directory cannot be read.
absl::StatusOr<std::vector<ModelLocation>> ListModels(const std::string& repository,
                                                      std::vector<std::string>* skipped = nullptr);

}  // namespace bitlm
