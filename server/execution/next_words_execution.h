// Next words after a context as tasks of the scheduler.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/next_word.h"
#include "server/batching/task.h"
#include "server/metrics/server_metrics.h"

namespace bitlm {

// Answers NextWordsTasks, those of one batch together. Thread-safe.
class NextWordsExecutor : public Executor {
 public:
  // `pool` may be null; it and `metrics` outlive the executor.
  NextWordsExecutor(std::shared_ptr<const LanguageModel> model, ThreadPool* pool,
                    ModelMetrics* metrics)
      : model_(std::move(model)), pool_(pool), metrics_(metrics) {}

  void Execute(std::span<const Slice> slices) override;

 private:
  std::shared_ptr<const LanguageModel> model_;
  ThreadPool* pool_;
  ModelMetrics* metrics_;
};

// One NextWords request: a single item. `keep_alive` holds what owns the executor.
class NextWordsTask : public Task {
 public:
  using Done = std::function<void(absl::Status, NextWordsTask&)>;

  NextWordsTask(Executor* executor, std::shared_ptr<const void> keep_alive,
                TokenizedSentence context, const NextWordOptions& options, absl::Time deadline,
                Done done)
      : Task(executor, {static_cast<int64_t>(context.tokens.size()) + 1}, deadline),
        keep_alive_(std::move(keep_alive)),
        context_(std::move(context)),
        options_(options),
        done_(std::move(done)) {}

  void Complete(absl::Status status) override { done_(std::move(status), *this); }

  const TokenizedSentence& context() const { return context_; }
  const NextWordOptions& options() const { return options_; }
  // Filled when the task completes with OK.
  std::vector<TokenScore>& words() { return words_; }

 private:
  std::shared_ptr<const void> keep_alive_;
  TokenizedSentence context_;
  NextWordOptions options_;
  std::vector<TokenScore> words_;
  Done done_;
};

}  // namespace bitlm
