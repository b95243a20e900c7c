#include "server/registry/model_registry.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace bitlm {

void ModelRegistry::Add(std::shared_ptr<const ServedModel> model) {
  MutexLock lock(mutex_);
  models_[model->name][model->version] = std::move(model);
}

absl::StatusOr<std::shared_ptr<const ServedModel>> ModelRegistry::Find(std::string_view name,
                                                                       int64_t version) const {
  if (version < 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("model_version: %d, must be at least 0", version));
  }
  const std::vector<std::string> names = Names();
  MutexLock lock(mutex_);
  auto entry = models_.find(name);
  if (name.empty()) {
    if (models_.size() != 1) {
      return absl::InvalidArgumentError(
          absl::StrFormat("model: empty, but this server has %d models: %s", names.size(),
                          absl::StrJoin(names, ", ")));
    }
    entry = models_.begin();
  }
  if (entry == models_.end()) {
    return absl::NotFoundError(
        absl::StrFormat("model: no such model; this server has %s", absl::StrJoin(names, ", ")));
  }
  const Versions& versions = entry->second;
  if (version == 0) return versions.rbegin()->second;
  const auto found = versions.find(version);
  if (found == versions.end()) {
    return absl::NotFoundError(
        absl::StrFormat("model_version: %s has no version %d; it has %s", entry->first, version,
                        absl::StrJoin(versions, ", ", [](std::string* out, const auto& each) {
                          out->append(std::to_string(each.first));
                        })));
  }
  return found->second;
}

std::vector<std::shared_ptr<const ServedModel>> ModelRegistry::List() const {
  std::vector<std::shared_ptr<const ServedModel>> list;
  MutexLock lock(mutex_);
  for (const auto& [name, versions] : models_) {
    for (const auto& [version, model] : versions) list.push_back(model);
  }
  return list;
}

bool ModelRegistry::IsLatest(const ServedModel& model) const {
  MutexLock lock(mutex_);
  const auto entry = models_.find(model.name);
  return entry != models_.end() && entry->second.rbegin()->first == model.version;
}

std::vector<std::string> ModelRegistry::Names() const {
  std::vector<std::string> names;
  MutexLock lock(mutex_);
  for (const auto& entry : models_) names.push_back(entry.first);
  return names;
}

}  // namespace bitlm
