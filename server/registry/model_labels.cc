#include "server/registry/model_labels.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/model/model_repository.h"
#include "server/registry/model_registry.h"

namespace bitlm {
namespace {

constexpr uint64_t kMaxBytes = 65536;

}  // namespace

absl::StatusOr<ModelLabels> ParseLabels(const std::string& json) {
  const nlohmann::json object = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return absl::InvalidArgumentError(R"(not a JSON object of versions by label: {"stable": 3})");
  }
  ModelLabels labels;
  for (const auto& [label, version] : object.items()) {
    if (!IsModelName(label) || label == kLatestLabel) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", label, "\" cannot be a label: letters, digits, '.', '_' and '-', not ",
                       std::string(kLatestLabel)));
    }
    if (!version.is_number_unsigned() || version.get<uint64_t>() < 1 ||
        version.get<uint64_t>() > uint64_t{INT64_MAX}) {
      return absl::InvalidArgumentError(absl::StrCat(label, ": not a version, an integer from 1"));
    }
    labels[label] = version.get<int64_t>();
  }
  return labels;
}

absl::StatusOr<ModelLabels> ReadLabels(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kLabelsFile);
  absl::StatusOr<std::string> text = ReadFile(path, kMaxBytes);
  if (absl::IsNotFound(text.status())) return ModelLabels();
  if (!text.ok()) return text.status();
  absl::StatusOr<ModelLabels> labels = ParseLabels(*text);
  if (!labels.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", labels.status().message()));
  }
  return labels;
}

}  // namespace bitlm
