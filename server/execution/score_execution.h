// Scoring of sentences as tasks of the scheduler.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/score_walk.h"
#include "engine/scoring/sentence_scorer.h"
#include "server/batching/task.h"
#include "server/metrics/server_metrics.h"

namespace bitlm {

// Takes the steps of ScoreTasks, those of one batch together. Thread-safe.
class ScoreExecutor : public Executor {
 public:
  // `pool` may be null; it and `metrics` outlive the executor.
  ScoreExecutor(std::shared_ptr<const LanguageModel> model, ThreadPool* pool, ModelMetrics* metrics)
      : model_(std::move(model)), pool_(pool), metrics_(metrics) {}

  void Execute(std::span<const Slice> slices) override;

  const LanguageModel& model() const { return *model_; }

 private:
  std::shared_ptr<const LanguageModel> model_;
  ThreadPool* pool_;
  ModelMetrics* metrics_;
};

// One ScoreSentences request. `keep_alive` holds what owns the executor. Words that `sentences`
// hold are charged to the queue by their bytes, when those are more than the tokens cover.
class ScoreTask : public Task {
 public:
  using Done = std::function<void(absl::Status, ScoreTask&)>;

  ScoreTask(ScoreExecutor* executor, std::shared_ptr<const void> keep_alive,
            std::vector<TokenizedSentence> sentences, const ScoreOptions& options,
            absl::Time deadline, Done done);

  int64_t ready() const override { return static_cast<int64_t>(walk_.ready()); }
  int64_t steps_left() const override { return static_cast<int64_t>(walk_.steps_left()); }
  int64_t depth_left() const override { return static_cast<int64_t>(walk_.depth_left()); }
  void Complete(absl::Status status) override { done_(std::move(status), *this); }

  const std::vector<TokenizedSentence>& sentences() const { return sentences_; }
  const ScoreOptions& options() const { return options_; }
  ScoreWalk& walk() { return walk_; }
  // [sentences], in their order; filled when the task completes with OK.
  std::vector<SentenceScore>& scores() { return scores_; }

 private:
  std::shared_ptr<const void> keep_alive_;
  std::vector<TokenizedSentence> sentences_;
  ScoreOptions options_;
  ScoreWalk walk_;
  std::vector<SentenceScore> scores_;
  Done done_;
};

}  // namespace bitlm
