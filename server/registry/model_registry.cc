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
  MutexLock lock(mutex_);
  models_[model->name][model->version] = std::move(model);
}

void ModelRegistry::AddUnservable(std::string_view name, int64_t version,
                                  absl::string_view reason) {
  MutexLock lock(mutex_);
  unservable_[std::string(name)][version] = std::string(reason);
}

void ModelRegistry::SetDefault(std::string_view name) {
  MutexLock lock(mutex_);
  default_ = name;
}

absl::StatusOr<std::shared_ptr<const ServedModel>> ModelRegistry::Find(std::string_view name,
                                                                       int64_t version) const {
  if (version < 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("model_version: %d, must be at least 0", version));
  }
  MutexLock lock(mutex_);
  if (name.empty()) name = default_;
  auto entry = models_.find(name);
  if (name.empty()) {
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
  if (version == 0) return versions.rbegin()->second;
  const auto found = versions.find(version);
  if (found == versions.end()) {
    if (absl::Status status = WhyUnservable(entry->first, version); !status.ok()) return status;
    return absl::NotFoundError(absl::StrFormat("model_version: %s has no version %d; it has %s",
                                               entry->first, version, ListKeys(versions)));
  }
  return found->second;
}

absl::Status ModelRegistry::WhyUnservable(std::string_view name, int64_t version) const {
  const auto entry = unservable_.find(name);
  if (entry == unservable_.end()) return absl::OkStatus();
  const auto& reasons = entry->second;
  const auto found = version == 0 ? std::prev(reasons.end()) : reasons.find(version);
  if (found == reasons.end()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("model: this server cannot serve %s version %d: %s", entry->first,
                      found->first, found->second));
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
