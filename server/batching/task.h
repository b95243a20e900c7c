// Task: one queued request, and Executor: what computes it. Neither knows gRPC or models.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace bitlm {

class Executor;

// A request as the scheduler sees it: items that are computed in order, possibly in several
// batches. Subclasses add inputs and results. The scheduler completes a task exactly once; no
// thread touches the results before that but the one that executes the task.
class Task {
 public:
  // `item_tokens[i]` > 0 is the cost of item i. `executor` computes the items and outlives the
  // task's completion.
  Task(Executor* executor, std::vector<int64_t> item_tokens, absl::Time deadline)
      : executor_(executor), item_tokens_(std::move(item_tokens)), deadline_(deadline) {
    for (int64_t tokens : item_tokens_) total_tokens_ += tokens;
  }
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // Called once, from a scheduler thread or from Cancel, without locks held. OK: every item has
  // been executed. CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE: some have not, and none will be.
  virtual void Complete(absl::Status status) = 0;

  Executor* executor() const { return executor_; }
  const std::vector<int64_t>& item_tokens() const { return item_tokens_; }
  int64_t total_tokens() const { return total_tokens_; }
  absl::Time deadline() const { return deadline_; }

 private:
  Executor* executor_;
  std::vector<int64_t> item_tokens_;
  int64_t total_tokens_ = 0;
  absl::Time deadline_;
};

// Items [first, first + count) of a task.
struct Slice {
  Task* task = nullptr;
  size_t first = 0;
  size_t count = 0;
};

// Computes slices of tasks that were made for it, together.
class Executor {
 public:
  virtual ~Executor() = default;
  // All slices belong to tasks whose executor() is this. Must not fail: requests are validated
  // before they are queued.
  virtual void Execute(std::span<const Slice> slices) = 0;
};

}  // namespace bitlm
