// ModelManager: keeps the models that are served in step with the repository.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/model/model_repository.h"
#include "server/metrics/server_metrics.h"
#include "server/registry/model_labels.h"
#include "server/registry/model_loader.h"
#include "server/registry/model_registry.h"

namespace bitlm {

// Who decides what is loaded after the start.
enum class ModelControlMode {
  kNone,      // Nobody: what the repository had.
  kPoll,      // The repository, looked at regularly.
  kExplicit,  // The admin service; at the start what the options name.
};

struct ModelManagerOptions {
  std::string repository;
  ModelControlMode control_mode = ModelControlMode::kNone;
  absl::Duration poll_interval = absl::Seconds(5);  // kPoll.
  int64_t latest_versions = 0;     // Highest versions of a model that are served; 0: all.
  std::vector<std::string> names;  // kExplicit: what is loaded at the start.
};

// A version is swapped in when it has been read, proven and warmed up; until then, and when it
// turns out bad, what was served goes on. What is swapped out is freed by its last request. Loading
// has a thread of its own, with a low priority, so that requests do not feel it. Thread-safe.
class ModelManager {
 public:
  // Makes a loaded model answer.
  using Serve = std::function<std::shared_ptr<const ServedModel>(LoadedModel)>;
  // Hears that the versions of a model have changed.
  using Changed = std::function<void(const std::string& name)>;

  // `registry` and `metrics` outlive the manager.
  ModelManager(ModelManagerOptions options, ModelRegistry* registry, ServerMetrics* metrics,
               Serve serve, Changed changed);
  // Lets the load that runs end.
  ~ModelManager();
  ModelManager(const ModelManager&) = delete;
  ModelManager& operator=(const ModelManager&) = delete;

  // Loads what the mode asks for, and waits for it; once, before Start. Errors: NOT_FOUND when the
  // repository is no directory, or has no model (unless kExplicit); what the first bad model gave,
  // unless `allow_failed` and another one is good.
  absl::Status LoadInitial(bool allow_failed);
  // From now on requests below are served, and the repository is polled.
  void Start();

  // The following wait for their end. Errors of all: UNAVAILABLE when the manager ends.
  //
  // kExplicit: loads a version, 0: the highest ones that options.latest_versions allows. One that
  // is served is loaded again if its files have changed. Errors: FAILED_PRECONDITION in another
  // mode; NOT_FOUND; those of LoadModel.
  absl::Status Load(std::string_view name, int64_t version);
  // kExplicit: takes a version out of service, 0: all. Errors: FAILED_PRECONDITION in another mode;
  // NOT_FOUND when it is not served.
  absl::Status Unload(std::string_view name, int64_t version);
  // Looks at the repository now. Errors: FAILED_PRECONDITION in kNone.
  absl::Status Reload();
  // The same without waiting, and without a word in kNone.
  void ReloadSoon();

 private:
  // Versions of one model that kExplicit serves; empty: what options.latest_versions allows.
  using Wanted = std::set<int64_t>;
  // What was last made of a version's directory.
  struct Tried {
    std::string fingerprint;
    absl::Status status;
  };
  using Key = std::pair<std::string, int64_t>;

  using SteadyClock = std::chrono::steady_clock;  // The wall clock may be set back by an hour.

  void Run();
  // Runs `job` on the thread and gives its status.
  absl::Status Do(std::function<absl::Status()> job);

  // The rest is called by the manager's thread.
  absl::Status LoadInitialNow(bool allow_failed);
  // Brings what is served in step. Errors: NOT_FOUND when there is no repository; nothing changes
  // then.
  absl::Status Sync();
  void SyncModel(const std::string& name, const std::map<int64_t, ModelLocation>& versions);
  // Whether the version is served afterwards.
  bool TryLoad(const ModelLocation& location);
  void Unserve(const std::string& name, int64_t version);
  // What was made of a version, and that it failed to load.
  void Forget(const Key& key);
  void SyncLabels(const std::string& name);
  void NoteLabelErrors(const std::string& name, std::string errors);
  // Tells of swapped-out models whose last request has ended, and gives their memory back.
  void Release();
  absl::Status LoadNow(const std::string& name, int64_t version);
  absl::Status UnloadNow(const std::string& name, int64_t version);

  const ModelManagerOptions options_;
  ModelRegistry* const registry_;
  ServerMetrics* const metrics_;
  const Serve serve_;
  const Changed changed_;

  std::map<std::string, Wanted, std::less<>> wanted_;
  std::map<Key, Tried> tried_;
  std::map<std::string, ModelLabels, std::less<>> labels_;
  std::vector<std::pair<std::string, std::weak_ptr<const ServedModel>>> leaving_;
  std::map<std::string, std::string> label_errors_;  // Of each model, as the log knows.
  std::set<std::string> skipped_;  // Directories without config.json, as the log knows.
  bool repository_missing_ = false;
  bool polling_ = false;  // Since Start, in kPoll.
  SteadyClock::time_point next_poll_;

  Mutex mutex_;
  CondVar changed_jobs_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bitlm
