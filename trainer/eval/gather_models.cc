#include "trainer/eval/gather_models.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/model_repository.h"
#include "engine/scoring/model_loading.h"

namespace bitlm::trainer {
namespace {

struct Source {
  std::string directory;
  std::string name;         // Empty: the model's own.
  std::string unique_name;  // Where another model has the same.
  bool optional = false;    // Found in a repository, not asked for by name.
};

absl::StatusOr<std::vector<Source>> Sources(std::span<const std::string> directories,
                                            std::span<const std::string> repositories) {
  std::vector<Source> sources;
  for (const std::string& directory : directories) {
    sources.push_back({.directory = directory, .name = "", .unique_name = directory});
  }
  for (const std::string& repository : repositories) {
    BITLM_ASSIGN_OR_RETURN(const std::vector<ModelLocation> found, ListModels(repository));
    if (found.empty()) {
      return absl::NotFoundError(
          absl::StrCat(repository, ": no model in it, expected <name>/<version>/config.json"));
    }
    for (const ModelLocation& model : found) {
      sources.push_back({.directory = model.directory,
                         .name = model.name,
                         .unique_name = absl::StrCat(model.name, "/", model.version),
                         .optional = true});
    }
  }
  return sources;
}

absl::StatusOr<std::shared_ptr<const LanguageModel>> Load(const std::string& directory) {
  BITLM_ASSIGN_OR_RETURN(auto engine, LoadLanguageModel(directory));
  if (engine->config().head == HeadKind::kLanguageModel) return engine;
  return absl::FailedPreconditionError(absl::StrCat(directory, ": a classifier has no perplexity"));
}

std::string NameOf(const Source& source, const Model& model) {
  if (!source.name.empty()) return source.name;
  return model.metadata.name.empty() ? source.directory : model.metadata.name;
}

}  // namespace

absl::StatusOr<std::vector<NamedModel>> GatherModels(std::span<const std::string> directories,
                                                     std::span<const std::string> repositories,
                                                     std::vector<std::string>* left_out) {
  BITLM_ASSIGN_OR_RETURN(const std::vector<Source> sources, Sources(directories, repositories));
  std::vector<NamedModel> models;
  std::vector<std::string> names, unique_names;
  for (const Source& source : sources) {
    auto engine = Load(source.directory);
    if (source.optional && absl::IsFailedPrecondition(engine.status())) {
      left_out->emplace_back(ToStd(engine.status().message()));
      continue;
    }
    BITLM_RETURN_IF_ERROR(engine.status());
    names.push_back(NameOf(source, (*engine)->model()));
    unique_names.push_back(source.unique_name);
    models.push_back({.name = names.back(), .engine = *std::move(engine)});
  }
  for (size_t i = 0; i < models.size(); ++i) {
    if (std::count(names.begin(), names.end(), names[i]) > 1) models[i].name = unique_names[i];
  }
  return models;
}

bool SeeSameWords(std::span<const NamedModel> models) {
  const LanguageModel& first = *models.front().engine;
  const Vocabulary& words = first.vocabulary();
  return std::all_of(models.begin(), models.end(), [&](const NamedModel& model) {
    const LanguageModel& other = *model.engine;
    if (other.config().normalization != first.config().normalization ||
        other.vocabulary().size() != words.size()) {
      return false;
    }
    for (TokenId id = 0; id < words.size(); ++id) {
      if (!other.vocabulary().Contains(words.Word(id))) return false;
    }
    return true;
  });
}

}  // namespace bitlm::trainer
