#include "server/registry/model_loader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/scoring/model_loading.h"

namespace bitlm {

absl::StatusOr<LoadResult> LoadRepository(const std::string& repository) {
  LoadResult result;
  BITLM_ASSIGN_OR_RETURN(const std::vector<ModelLocation> locations,
                         ListModels(repository, &result.skipped));
  if (locations.empty()) {
    return absl::NotFoundError(absl::StrCat(
        repository,
        ": no model; expected <name>/<version>/config.json, as in english/1/config.json"));
  }
  for (const ModelLocation& location : locations) {
    const absl::Time start = absl::Now();
    absl::StatusOr<std::shared_ptr<const LanguageModel>> model =
        LoadLanguageModel(location.directory);
    if (model.ok() && (*model)->config().head != HeadKind::kLanguageModel) {
      model = absl::FailedPreconditionError(
          absl::StrCat(location.directory, ": head: \"", ToAbsl(ToString((*model)->config().head)),
                       "\" is valid, but this version of the server has no call for it"));
    }
    if (model.ok()) {
      result.loaded.push_back(
          {location.name, location.version, *std::move(model), absl::Now() - start});
    } else {
      result.failed.emplace_back(location, model.status());
    }
  }
  return result;
}

}  // namespace bitlm
