#include "server/registry/model_registry.h"

#include <cstddef>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bitlm {
namespace {

// "a, b, c" from the keys of a map, the first ten: a status travels in headers of 8 KiB at most.
template <typename Map>
std::string ListKeys(const Map& map) {
  constexpr size_t kListed = 10;
  std::string list;
  size_t listed = 0;
  for (const auto& entry : map) {
    if (listed == kListed) {
      absl::StrAppend(&list, " and ", map.size() - kListed, " more (ListModels)");
      break;
    }
    absl::StrAppend(&list, listed++ > 0 ? ", " : "", entry.first);
  }
  return list;
}

}  // namespace

void ModelRegistry::Add(std::shared_ptr<const ServedModel> model) {
  ClearFailure(model->name, model->version);
  MutexLock lock(mutex_);
  models_[model->name][model->version] = std::move(model);
}

std::shared_ptr<const ServedModel> ModelRegistry::Remove(std::string_view name, int64_t version) {
  MutexLock lock(mutex_);
  const auto entry = models_.find(name);
  if (entry == models_.end()) return nullptr;
  const auto found = entry->second.find(version);
  if (found == entry->second.end()) return nullptr;
  std::shared_ptr<const ServedModel> model = std::move(found->second);
  entry->second.erase(found);
  if (entry->second.empty()) models_.erase(entry);
  return model;
}

void ModelRegistry::SetFailure(ModelFailure failure) {
  MutexLock lock(mutex_);
  failures_[failure.name][failure.version] = std::move(failure.reason);
}

void ModelRegistry::ClearFailure(std::string_view name, int64_t version) {
  MutexLock lock(mutex_);
  const auto entry = failures_.find(name);
  if (entry == failures_.end()) return;
  entry->second.erase(version);
  if (entry->second.empty()) failures_.erase(entry);
}

void ModelRegistry::SetLabels(std::string_view name,
                              std::map<std::string, int64_t, std::less<>> labels) {
  MutexLock lock(mutex_);
  labels_[std::string(name)] = std::move(labels);
}

void ModelRegistry::SetDefault(std::string_view name) {
  MutexLock lock(mutex_);
  default_ = name;
}

absl::StatusOr<std::shared_ptr<const ServedModel>> ModelRegistry::Find(
    const ModelSelector& selector) const {
  int64_t version = selector.version;
  if (version < 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("model_version: %d, must be at least 0", version));
  }
  if (version > 0 && !selector.label.empty()) {
    return absl::InvalidArgumentError("model_label: set together with model_version");
  }
  MutexLock lock(mutex_);
  const std::string_view name = selector.name.empty() ? default_ : selector.name;
  auto entry = models_.find(name);
  if (name.empty()) {
    if (models_.empty()) return absl::NotFoundError("model: this server has none at the moment");
    if (models_.size() != 1) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "model: empty, but this server has %d models: %s", models_.size(), ListKeys(models_)));
    }
    entry = models_.begin();
  }
  if (entry == models_.end()) {
    if (absl::Status status = WhyUnservable(name, version); !status.ok()) return status;
    return absl::NotFoundError(
        absl::StrFormat("model: no such model; this server has %s", ListKeys(models_)));
  }
  const Versions& versions = entry->second;
  if (!selector.label.empty() && selector.label != kLatestLabel) {
    version = LabelledVersion(entry->first, selector.label);
    if (version == 0) {
      return absl::NotFoundError(
          absl::StrFormat("model_label: %s has no such label", entry->first));
    }
  }
  if (version == 0) return versions.rbegin()->second;
  const auto found = versions.find(version);
  if (found == versions.end()) {
    if (absl::Status status = WhyUnservable(entry->first, version); !status.ok()) return status;
    return absl::NotFoundError(
        absl::StrFormat("%s: %s has no version %d; it has %s",
                        selector.label.empty() ? "model_version" : "model_label", entry->first,
                        version, ListKeys(versions)));
  }
  return found->second;
}

int64_t ModelRegistry::LabelledVersion(std::string_view name, std::string_view label) const {
  const auto labels = labels_.find(name);
  if (labels == labels_.end()) return 0;
  const auto found = labels->second.find(label);
  return found == labels->second.end() ? 0 : found->second;
}

absl::Status ModelRegistry::WhyUnservable(std::string_view name, int64_t version) const {
  const auto entry = failures_.find(name);
  if (entry == failures_.end()) return absl::OkStatus();
  const auto& reasons = entry->second;
  const auto found = version == 0 ? std::prev(reasons.end()) : reasons.find(version);
  if (found == reasons.end()) return absl::OkStatus();
  // Others are the operator's business: for clients there is no such model.
  if (!absl::IsFailedPrecondition(found->second)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("model: this server cannot serve %s version %d: %s", entry->first,
                      found->first, found->second.message()));
}

std::vector<std::shared_ptr<const ServedModel>> ModelRegistry::List() const {
  std::vector<std::shared_ptr<const ServedModel>> list;
  MutexLock lock(mutex_);
  for (const auto& [name, versions] : models_) {
    for (const auto& [version, model] : versions) list.push_back(model);
  }
  return list;
}

std::vector<ModelFailure> ModelRegistry::Failures() const {
  std::vector<ModelFailure> list;
  MutexLock lock(mutex_);
  for (const auto& [name, versions] : failures_) {
    for (const auto& [version, reason] : versions) list.push_back({name, version, reason});
  }
  return list;
}

bool ModelRegistry::IsLatest(const ServedModel& model) const {
  MutexLock lock(mutex_);
  const auto entry = models_.find(model.name);
  return entry != models_.end() && entry->second.rbegin()->first == model.version;
}

std::vector<std::string> ModelRegistry::Labels(const ServedModel& model) const {
  std::vector<std::string> labels;
  MutexLock lock(mutex_);
  const auto entry = labels_.find(model.name);
  if (entry == labels_.end()) return labels;
  for (const auto& [label, version] : entry->second) {
    if (version == model.version) labels.push_back(label);
  }
  return labels;
}

bool ModelRegistry::Serves(std::string_view name) const {
  MutexLock lock(mutex_);
  return models_.find(name) != models_.end();
}

}  // namespace bitlm
