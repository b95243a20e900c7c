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
  // `index` is of the model's vocabulary. `cache` and `pool` (both may be null) and `metrics`
  // outlive this.
  ServedModel(std::string model_name, int64_t model_version,
              std::shared_ptr<const LanguageModel> language_model, WordIndex index,
              StateCache* cache, ThreadPool* pool, ModelMetrics* metrics)
      : name(std::move(model_name)),
        version(model_version),
        model(std::move(language_model)),
        word_index(std::move(index)),
        score(model, pool, metrics),
        next_words(model, cache, pool, metrics) {}

  // Bytes of vocabulary strings and indices in memory, about.
  uint64_t vocabulary_bytes() const {
    return model->vocabulary().MemoryBytes() + word_index.MemoryBytes();
  }

  const std::string name;
  const int64_t version;
  const std::shared_ptr<const LanguageModel> model;
  const WordIndex word_index;
  // Executors are mutable because a task names its executor; they hold no state of requests.
  mutable ScoreExecutor score;
  mutable NextWordsExecutor next_words;
};

// Thread-safe.
class ModelRegistry {
 public:
  // Adds a version, or replaces it.
  void Add(std::shared_ptr<const ServedModel> model);

  // Remembers a version that the repository has and this build cannot serve, and why.
  void AddUnservable(std::string_view name, int64_t version, absl::string_view reason);

  // The model of requests that name none; it need not be here yet.
  void SetDefault(std::string_view name);

  // The model of this name (empty: the default, or the only one) and version (0: the highest). Errors:
  // INVALID_ARGUMENT for a negative version, or no name though there are several;
  // FAILED_PRECONDITION with the reason for one that cannot be served; NOT_FOUND. The message
  // begins with the request's field, "model" or "model_version".
  absl::StatusOr<std::shared_ptr<const ServedModel>> Find(std::string_view name,
                                                          int64_t version) const;

  // All, by name, then version.
  std::vector<std::shared_ptr<const ServedModel>> List() const;
  // Whether `model` is the highest version of its name.
  bool IsLatest(const ServedModel& model) const;
  std::vector<std::string> Names() const;

 private:
  using Versions = std::map<int64_t, std::shared_ptr<const ServedModel>>;

  // Why there is no such model to serve. `version` 0: any.
  absl::Status WhyUnservable(std::string_view name, int64_t version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::string default_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Versions, std::less<>> models_ ABSL_GUARDED_BY(mutex_);
  // Reasons by name and version.
  std::map<std::string, std::map<int64_t, std::string>, std::less<>> unservable_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace bitlm
