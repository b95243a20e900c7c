#include "engine/scoring/model_loading.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/model.h"
#include "engine/scoring/golden.h"

namespace bitlm {
namespace {

// Prefixes the directory, unless the message has it already.
absl::Status Locate(const absl::Status& status, const std::string& directory) {
  if (absl::StrContains(status.message(), directory)) return status;
  return absl::Status(status.code(), absl::StrCat(directory, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const LanguageModel>> LoadLanguageModel(
    const std::string& directory) {
  absl::StatusOr<std::shared_ptr<const Model>> model = ReadModel(directory);
  if (!model.ok()) return Locate(model.status(), directory);
  absl::StatusOr<std::shared_ptr<const LanguageModel>> loaded =
      MakeCpuLanguageModel(*std::move(model));
  if (!loaded.ok()) return Locate(loaded.status(), directory);
  if (const absl::Status golden = CheckGoldenSentences(**loaded); !golden.ok()) {
    return Locate(golden, directory);
  }
  return loaded;
}

}  // namespace bitlm
