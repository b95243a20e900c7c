// ModelRegistry: the loaded models by name and version.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/mutex.h"
#include "engine/base/thread_pool.h"
#include "engine/model/word_index.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/state_cache.h"
#include "server/execution/next_words_execution.h"
#include "server/execution/score_execution.h"
#include "server/metrics/server_metrics.h"

namespace bitlm {

// One loaded version of a model and what computes its requests. A request holds the shared_ptr for
// its whole life, so a model is freed by its last user.
struct ServedModel {
  // `index` is of the model's vocabulary. `cache` and `pool` outlive this. All three pointers may
  // be null.
  ServedModel(std::string model_name, int64_t model_version,
              std::shared_ptr<const LanguageModel> language_model, WordIndex index,
              StateCache* cache, ThreadPool* pool, std::shared_ptr<ModelMetrics> model_metrics)
      : name(std::move(model_name)),
        version(model_version),
        model(std::move(language_model)),
        word_index(std::move(index)),
        metrics(std::move(model_metrics)),
        score(model, pool, metrics.get()),
        next_words(model, cache, pool, metrics.get()) {}

  ~ServedModel() {
    if (next_words.cache() != nullptr) next_words.cache()->Drop(*model);
  }
  ServedModel(const ServedModel&) = delete;
  ServedModel& operator=(const ServedModel&) = delete;

  // Bytes of vocabulary strings and indices in memory, about.
  uint64_t vocabulary_bytes() const {
    return model->vocabulary().MemoryBytes() + word_index.MemoryBytes();
  }

  const std::string name;
  const int64_t version;
  const std::shared_ptr<const LanguageModel> model;
  const WordIndex word_index;
  const std::shared_ptr<ModelMetrics> metrics;
  // Executors are mutable because a task names its executor; they hold no state of requests.
  mutable ScoreExecutor score;
  mutable NextWordsExecutor next_words;
};

// The label of the highest version, which every model has.
inline constexpr std::string_view kLatestLabel = "latest";

// What a request says of the model that it wants.
struct ModelSelector {
  std::string_view name;   // Empty: the default, or the only one.
  int64_t version = 0;     // 0: by `label`.
  std::string_view label;  // Empty or "latest": the highest version.
};

// A version that the repository has and that is not served, or not as the repository has it now.
struct ModelFailure {
  std::string name;
  int64_t version = 0;
  absl::Status reason;  // Without paths: clients may read it.
};

// Thread-safe.
class ModelRegistry {
 public:
  // Adds a version, or replaces it: requests that come from now on get it, those that have the old
  // one keep it. Forgets its failure.
  void Add(std::shared_ptr<const ServedModel> model);
  // Takes a version out of service. Returns it, null when it was not here.
  std::shared_ptr<const ServedModel> Remove(std::string_view name, int64_t version);

  // Remembers why a version could not be loaded. A version with this number that is served goes on.
  void SetFailure(ModelFailure failure);
  void ClearFailure(std::string_view name, int64_t version);

  // Replaces the labels of a model, versions by label.
  void SetLabels(std::string_view name, std::map<std::string, int64_t, std::less<>> labels);

  // The model of requests that name none; it need not be here yet.
  void SetDefault(std::string_view name);

  // The model that a request wants. Errors: INVALID_ARGUMENT for a negative version, a version and
  // a label, or no name though there are several; FAILED_PRECONDITION with the reason for one that
  // is sound and cannot be served; NOT_FOUND. The message begins with the request's field, "model",
  // "model_version" or "model_label".
  absl::StatusOr<std::shared_ptr<const ServedModel>> Find(const ModelSelector& selector) const;

  // All, by name, then version.
  std::vector<std::shared_ptr<const ServedModel>> List() const;
  std::vector<ModelFailure> Failures() const;
  // Whether `model` is the highest version of its name.
  bool IsLatest(const ServedModel& model) const;
  // The labels of `model`'s version, sorted.
  std::vector<std::string> Labels(const ServedModel& model) const;
  // Whether the model has a version that is served.
  bool Serves(std::string_view name) const;

 private:
  using Versions = std::map<int64_t, std::shared_ptr<const ServedModel>>;

  // 0 when there is no such label.
  int64_t LabelledVersion(std::string_view name, std::string_view label) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why there is no such model to serve. `version` 0: any.
  absl::Status WhyUnservable(std::string_view name, int64_t version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::string default_ ABSL_GUARDED_BY(mutex_);
  // No entry is empty.
  std::map<std::string, Versions, std::less<>> models_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::map<std::string, int64_t, std::less<>>, std::less<>> labels_
      ABSL_GUARDED_BY(mutex_);
  // Reasons by name and version.
  std::map<std::string, std::map<int64_t, absl::Status>, std::less<>> failures_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace bitlm
