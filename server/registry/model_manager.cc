#include "server/registry/model_manager.h"

#include <malloc.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <optional>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"

namespace bitlm {
namespace {

// How often the thread looks whether a model's last request has ended.
constexpr absl::Duration kReleaseInterval = absl::Milliseconds(200);
constexpr int kLoaderNice = 10;

std::string Describe(const std::string& name, int64_t version) {
  return absl::StrCat(name, " version ", version);
}

}  // namespace

ModelManager::ModelManager(ModelManagerOptions options, ModelRegistry* registry,
                           ServerMetrics* metrics, Serve serve, Changed changed)
    : options_(std::move(options)),
      registry_(registry),
      metrics_(metrics),
      serve_(std::move(serve)),
      changed_(std::move(changed)) {
  for (const std::string& name : options_.names) wanted_[name];
}

ModelManager::~ModelManager() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_jobs_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

absl::Status ModelManager::LoadInitial(bool allow_failed) {
  // All loads on one thread: what its working memory takes, it takes once.
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "bitlm-models");
  return Do([this, allow_failed] { return LoadInitialNow(allow_failed); });
}

absl::Status ModelManager::LoadInitialNow(bool allow_failed) {
  BITLM_RETURN_IF_ERROR(Sync());
  std::optional<Key> failed;
  for (const auto& [key, tried] : tried_) {
    if (!tried.status.ok() && !failed.has_value()) failed = key;
  }
  const bool none = registry_->List().empty();
  if (failed.has_value() && (!allow_failed || none)) {
    const absl::Status& status = tried_.at(*failed).status;
    return absl::Status(
        status.code(),
        absl::StrCat(status.message(), " (model ", failed->first, " version ", failed->second,
                     "; --allow-failed-models starts with the models that load)"));
  }
  for (const auto& [name, versions] : wanted_) {
    if (!registry_->Serves(name) && !allow_failed) {
      return absl::NotFoundError(
          absl::StrCat("--load-models: ", options_.repository, " has no ", name));
    }
  }
  if (none && options_.control_mode != ModelControlMode::kExplicit) {
    return absl::NotFoundError(absl::StrCat(
        options_.repository,
        ": no model; expected <name>/<version>/config.json, as in english/1/config.json"));
  }
  return absl::OkStatus();
}

void ModelManager::Start() {
  MutexLock lock(mutex_);
  jobs_.push_back([this] {
    // Of this thread alone: on Linux every thread has its own.
    setpriority(PRIO_PROCESS, 0, kLoaderNice);
    polling_ = options_.control_mode == ModelControlMode::kPoll;
    next_poll_ = SteadyClock::now() + absl::ToChronoNanoseconds(options_.poll_interval);
  });
  changed_jobs_.NotifyAll();
}

absl::Status ModelManager::Load(std::string_view name, int64_t version) {
  if (options_.control_mode != ModelControlMode::kExplicit) {
    return absl::FailedPreconditionError("loading wants --model-control-mode explicit");
  }
  return Do([this, name = std::string(name), version] { return LoadNow(name, version); });
}

absl::Status ModelManager::Unload(std::string_view name, int64_t version) {
  if (options_.control_mode != ModelControlMode::kExplicit) {
    return absl::FailedPreconditionError("unloading wants --model-control-mode explicit");
  }
  return Do([this, name = std::string(name), version] { return UnloadNow(name, version); });
}

absl::Status ModelManager::Reload() {
  if (options_.control_mode == ModelControlMode::kNone) {
    return absl::FailedPreconditionError("reloading wants --model-control-mode poll or explicit");
  }
  return Do([this] { return WithoutPaths(Sync(), options_.repository); });
}

void ModelManager::ReloadSoon() {
  if (options_.control_mode == ModelControlMode::kNone) return;
  MutexLock lock(mutex_);
  jobs_.push_back([this] { (void)Sync(); });
  changed_jobs_.NotifyAll();
}

absl::Status ModelManager::Do(std::function<absl::Status()> job) {
  std::promise<absl::Status> done;
  {
    MutexLock lock(mutex_);
    if (stopping_) return absl::UnavailableError("the server is shutting down");
    jobs_.push_back([&done, &job] { done.set_value(job()); });
    changed_jobs_.NotifyAll();
  }
  return done.get_future().get();
}

void ModelManager::Run() {
  const auto interval = absl::ToChronoNanoseconds(options_.poll_interval);
  const auto release_interval = absl::ToChronoNanoseconds(kReleaseInterval);
  while (true) {
    std::function<void()> job;
    {
      MutexLock lock(mutex_);
      while (jobs_.empty() && !stopping_) {
        if (!polling_ && leaving_.empty()) {
          changed_jobs_.Wait(mutex_);
          continue;
        }
        SteadyClock::time_point wake = next_poll_;
        if (!leaving_.empty()) {
          const auto release = SteadyClock::now() + release_interval;
          wake = polling_ ? std::min(wake, release) : release;
        }
        if (!changed_jobs_.WaitUntil(mutex_, wake)) break;
      }
      if (!jobs_.empty()) {  // Also while stopping: somebody waits for them.
        job = std::move(jobs_.front());
        jobs_.pop_front();
      } else if (stopping_) {
        return;
      }
    }
    if (job) job();
    if (polling_ && SteadyClock::now() >= next_poll_) {
      (void)Sync();  // Says itself what is wrong.
      next_poll_ = SteadyClock::now() + interval;
    }
    Release();
  }
}

absl::Status ModelManager::Sync() {
  std::vector<std::string> skipped;
  absl::StatusOr<std::vector<ModelLocation>> locations = ListModels(options_.repository, &skipped);
  if (!locations.ok()) {  // A file system that is away is no wish to serve nothing.
    if (!repository_missing_) {
      spdlog::error("{}; what is loaded stays", std::string(locations.status().message()));
    }
    repository_missing_ = true;
    return locations.status();
  }
  repository_missing_ = false;
  std::map<std::string, std::map<int64_t, ModelLocation>> models;
  for (ModelLocation& location : *locations) {
    models[location.name][location.version] = std::move(location);
  }
  const bool everything = options_.control_mode != ModelControlMode::kExplicit;
  for (const auto& [name, versions] : models) {
    if (everything || wanted_.count(name) > 0) SyncModel(name, versions);
  }
  for (const auto& model : registry_->List()) {  // Models that have gone as a whole.
    if (models.count(model->name) == 0) SyncModel(model->name, {});
  }
  for (auto tried = tried_.begin(); tried != tried_.end();) {
    const auto& [name, version] = tried->first;
    const auto model = models.find(name);
    const bool here = model != models.end() && model->second.count(version) > 0;
    const bool gone = !here && !tried->second.status.ok();
    const Key key = (tried++)->first;
    if (gone) Forget(key);
  }
  for (const std::string& directory : skipped) {
    if (skipped_.count(directory) == 0) {
      spdlog::warn("{}: skipped, it has no config.json", directory);
    }
  }
  skipped_ = {skipped.begin(), skipped.end()};
  return absl::OkStatus();
}

void ModelManager::SyncModel(const std::string& name,
                             const std::map<int64_t, ModelLocation>& versions) {
  const auto wanted = wanted_.find(name);
  const Wanted* only =
      wanted == wanted_.end() || wanted->second.empty() ? nullptr : &wanted->second;
  // First what comes, then what goes: requests always find a version. The highest versions that
  // load are kept, so that a bad one does not cost a good one its place.
  std::set<int64_t> kept;
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    if (only != nullptr && only->count(version->first) == 0) continue;
    if (only == nullptr && options_.latest_versions > 0 &&
        static_cast<int64_t>(kept.size()) == options_.latest_versions) {
      break;
    }
    if (TryLoad(version->second)) kept.insert(version->first);
  }
  SyncLabels(name);  // Before what they named until now goes.
  const bool room = only != nullptr || options_.latest_versions == 0 ||
                    static_cast<int64_t>(kept.size()) < options_.latest_versions;
  for (const auto& model : registry_->List()) {
    if (model->name != name || kept.count(model->version) > 0) continue;
    // A directory without a config.json is being replaced.
    std::error_code error;
    const std::string directory = absl::StrCat(options_.repository, "/", name, "/", model->version);
    const bool incomplete = room && versions.count(model->version) == 0 &&
                            std::filesystem::is_directory(directory, error);
    if (!incomplete) Unserve(name, model->version);
  }
}

bool ModelManager::TryLoad(const ModelLocation& location) {
  const auto& [name, version, directory] = location;
  const std::string fingerprint = Fingerprint(directory);
  const Key key = {name, version};
  const absl::StatusOr<std::shared_ptr<const ServedModel>> old =
      registry_->Find({.name = name, .version = version, .label = {}});
  if (const auto tried = tried_.find(key);
      tried != tried_.end() && tried->second.fingerprint == fingerprint) {
    return old.ok();
  }
  absl::StatusOr<LoadedModel> loaded = LoadModel(location);
  tried_[key] = {fingerprint, loaded.status()};
  metrics_->SetModelFailed(name, version, !loaded.ok());
  if (!loaded.ok()) {
    metrics_->OnModelSwap(ModelSwap::kFailed);
    registry_->SetFailure({name, version, WithoutPaths(loaded.status(), directory)});
    spdlog::error("model {} cannot be loaded: {}{}", Describe(name, version),
                  std::string(loaded.status().message()),
                  old.ok() ? "; the one that was loaded before stays" : "");
    return old.ok();
  }
  registry_->Add(serve_(*std::move(loaded)));
  metrics_->OnModelSwap(old.ok() ? ModelSwap::kReplaced : ModelSwap::kLoaded);
  if (old.ok()) leaving_.emplace_back(Describe(name, version), *old);
  changed_(name);
  return true;
}

void ModelManager::Unserve(const std::string& name, int64_t version) {
  std::shared_ptr<const ServedModel> model = registry_->Remove(name, version);
  Forget({name, version});
  if (model == nullptr) return;
  metrics_->OnModelSwap(ModelSwap::kUnloaded);
  spdlog::info("model {} takes no more requests", Describe(name, version));
  leaving_.emplace_back(Describe(name, version), model);
  changed_(name);
}

void ModelManager::Forget(const Key& key) {
  registry_->ClearFailure(key.first, key.second);
  metrics_->SetModelFailed(key.first, key.second, false);
  tried_.erase(key);
}

void ModelManager::SyncLabels(const std::string& name) {
  absl::StatusOr<ModelLabels> labels = ReadLabels(absl::StrCat(options_.repository, "/", name));
  ModelLabels& current = labels_[name];
  std::string errors;  // Each look at the repository finds them again; the log has them once.
  if (!labels.ok()) {
    errors = absl::StrCat(labels.status().message(), "; the labels stay as they were");
    NoteLabelErrors(name, std::move(errors));
    return;
  }
  for (auto& [label, version] : *labels) {
    if (registry_->Find({.name = name, .version = version, .label = {}}).ok()) continue;
    const auto before = current.find(label);
    const int64_t old = before == current.end() ? 0 : before->second;
    if (old == version) continue;
    absl::StrAppend(&errors, errors.empty() ? "" : "; ", "label ", label, " of ", name,
                    ": version ", version, " is not loaded");
    if (old > 0) absl::StrAppend(&errors, ", it stays at ", old);
    if (old > 0) version = old;
  }
  NoteLabelErrors(name, std::move(errors));
  if (*labels == current) return;
  for (const auto& [label, version] : *labels) {
    const auto before = current.find(label);
    if (before != current.end() && before->second == version) continue;
    spdlog::info("label {} of {}: version {}", label, name, version);
  }
  current = *labels;
  registry_->SetLabels(name, *std::move(labels));
}

void ModelManager::NoteLabelErrors(const std::string& name, std::string errors) {
  std::string& known = label_errors_[name];
  if (errors == known) return;
  if (!errors.empty()) spdlog::error("{}", errors);
  known = std::move(errors);
}

void ModelManager::Release() {
  bool released = false;
  for (auto model = leaving_.begin(); model != leaving_.end();) {
    if (!model->second.expired()) {
      ++model;
      continue;
    }
    spdlog::info("model {}: the old one's memory is free", model->first);
    model = leaving_.erase(model);
    released = true;
  }
  if (released) malloc_trim(0);
}

absl::Status ModelManager::LoadNow(const std::string& name, int64_t version) {
  const absl::StatusOr<std::vector<ModelLocation>> locations = ListModels(options_.repository);
  if (!locations.ok()) return WithoutPaths(locations.status(), options_.repository);
  std::map<int64_t, std::string> found;  // Directories.
  for (const ModelLocation& location : *locations) {
    if (location.name == name && (version == 0 || location.version == version)) {
      found[location.version] = location.directory;
    }
  }
  if (found.empty()) return absl::NotFoundError("model: the repository does not have it");
  const auto was =
      wanted_.find(name) == wanted_.end() ? std::nullopt : std::make_optional(wanted_[name]);
  Wanted& wanted = wanted_[name];
  wanted.clear();
  if (version != 0) {
    wanted.insert(version);
    for (const auto& model : registry_->List()) {
      if (model->name == name) wanted.insert(model->version);
    }
  }
  for (const auto& [candidate, directory] : found) {  // What failed is tried again.
    const auto tried = tried_.find({name, candidate});
    if (tried != tried_.end() && !tried->second.status.ok()) tried_.erase(tried);
  }
  const auto take_back = [&] {
    if (was.has_value()) {
      wanted_[name] = *was;
    } else if (!registry_->Serves(name)) {
      wanted_.erase(name);
    }
  };
  if (absl::Status status = Sync(); !status.ok()) {
    take_back();
    return WithoutPaths(status, options_.repository);
  }
  for (auto candidate = found.rbegin(); candidate != found.rend(); ++candidate) {
    const auto tried = tried_.find({name, candidate->first});
    if (tried == tried_.end()) continue;
    if (!tried->second.status.ok()) {
      take_back();
      return WithoutPaths(tried->second.status, candidate->second);
    }
    if (version == 0) break;
  }
  return absl::OkStatus();
}

absl::Status ModelManager::UnloadNow(const std::string& name, int64_t version) {
  Wanted left;
  bool found = false;
  for (const auto& model : registry_->List()) {
    if (model->name != name) continue;
    if (version != 0 && model->version != version) {
      left.insert(model->version);
      continue;
    }
    Unserve(name, model->version);
    found = true;
  }
  // Nor is a version that failed to load wanted any more.
  for (auto tried = tried_.begin(); tried != tried_.end();) {
    const Key key = (tried++)->first;
    if (key.first == name && (version == 0 || key.second == version)) {
      Forget(key);
      found = true;
    }
  }
  if (!found) return absl::NotFoundError("model: it is not loaded");
  if (left.empty()) {
    wanted_.erase(name);
  } else {
    wanted_[name] = std::move(left);
  }
  return absl::OkStatus();
}

}  // namespace bitlm
