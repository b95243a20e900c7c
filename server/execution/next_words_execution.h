// Next words after a context as tasks of the scheduler.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/next_word.h"
#include "engine/scoring/next_word_walk.h"
#include "engine/scoring/state_cache.h"
#include "server/batching/task.h"
#include "server/metrics/server_metrics.h"

namespace bitlm {

// Takes the steps of NextWordsTasks, those of one batch together. Thread-safe.
class NextWordsExecutor : public Executor {
 public:
  // `cache` and `pool` may be null; they and `metrics` outlive the executor.
  NextWordsExecutor(std::shared_ptr<const LanguageModel> model, StateCache* cache, ThreadPool* pool,
                    ModelMetrics* metrics)
      : model_(std::move(model)), cache_(cache), pool_(pool), metrics_(metrics) {}

  void Execute(std::span<const Slice> slices) override;

  const LanguageModel& model() const { return *model_; }
  StateCache* cache() const { return cache_; }

 private:
  std::shared_ptr<const LanguageModel> model_;
  StateCache* cache_;
  ThreadPool* pool_;
  ModelMetrics* metrics_;
};

// A word to choose from.
struct Candidate {
  TokenId token = 0;  // That of <unk> for a word out of vocabulary.
  int32_t index = 0;  // Of the first in the request that is this word.
  bool oov = false;
  std::string word;  // As normalized; empty unless oov.
};

// What a NextWords request asks for.
struct NextWordsQuery {
  TokenizedSentence context;  // Its words may be missing.
  NextWordOptions options;
  // The words to choose from, one of the two at most. Default: the vocabulary.
  //
  // Distinct words, in the order of the request.
  std::optional<std::vector<Candidate>> candidates;
  // Those that a word index has under a prefix; the index outlives the query.
  std::optional<std::span<const TokenId>> completions;
};

// One NextWords request. `keep_alive` holds what owns the executor.
class NextWordsTask : public Task {
 public:
  using Done = std::function<void(absl::Status, NextWordsTask&)>;

  // Candidates are charged to the queue, and the bytes of those out of vocabulary.
  NextWordsTask(NextWordsExecutor* executor, std::shared_ptr<const void> keep_alive,
                NextWordsQuery query, absl::Time deadline, Done done);

  int64_t ready() const override { return static_cast<int64_t>(walk_.ready()); }
  int64_t steps_left() const override { return depth_left(); }
  int64_t depth_left() const override { return static_cast<int64_t>(walk_.depth_left()); }
  void Complete(absl::Status status) override { done_(std::move(status), *this); }

  const NextWordsQuery& query() const { return query_; }
  NextWordWalk& walk() { return walk_; }
  // Distinct tokens; filled when the task completes with OK.
  std::vector<TokenScore>& words() { return words_; }

 private:
  std::shared_ptr<const void> keep_alive_;
  NextWordsQuery query_;
  std::vector<TokenId> candidates_;  // The query's.
  NextWordWalk walk_;
  std::vector<TokenScore> words_;
  Done done_;
};

}  // namespace bitlm
