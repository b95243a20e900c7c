// Labels of a model: names for versions that an operator moves, as "stable".
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace bitlm {

// The file in a model's directory, <repository>/<name>/labels.json: {"stable": 3}.
inline constexpr char kLabelsFile[] = "labels.json";

using ModelLabels = std::map<std::string, int64_t, std::less<>>;

// Parses the file's text. Labels satisfy IsModelName and are not "latest"; versions are at least 1.
// Errors: INVALID_ARGUMENT, naming the label.
absl::StatusOr<ModelLabels> ParseLabels(const std::string& json);

// Reads the labels of the model in `directory`; none when there is no such file.
absl::StatusOr<ModelLabels> ReadLabels(const std::string& directory);

}  // namespace bitlm
