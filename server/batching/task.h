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
  // task's completion. `extra_tokens` >= 0 are charged to the queue beside the items' until the
  // last item leaves it: they stand for memory that the items' do not cover.
  Task(Executor* executor, std::vector<int64_t> item_tokens, absl::Time deadline,
       int64_t extra_tokens = 0)
      : executor_(executor),
        item_tokens_(std::move(item_tokens)),
        queue_tokens_(extra_tokens),
        deadline_(deadline) {
    for (int64_t tokens : item_tokens_) queue_tokens_ += tokens;
  }
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // Called once, from a scheduler thread or from Cancel, without locks held. OK: every item has
  // been executed. CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE: some have not, and none will be.
  virtual void Complete(absl::Status status) = 0;

  Executor* executor() const { return executor_; }
  const std::vector<int64_t>& item_tokens() const { return item_tokens_; }
  // What the whole task takes of the queue.
  int64_t queue_tokens() const { return queue_tokens_; }
  absl::Time deadline() const { return deadline_; }

 private:
  Executor* executor_;
  std::vector<int64_t> item_tokens_;
  int64_t queue_tokens_;
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
