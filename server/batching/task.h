// Task: one queued request, and Executor: what computes it. Neither knows gRPC or models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace bitlm {

class Executor;

// A request as the scheduler sees it: steps, some of which need others' results. Subclasses add
// inputs and results. The scheduler completes a task exactly once; no thread touches the results
// before that but the one that executes the task.
class Task {
 public:
  // `tokens` > 0 are charged to the queue until the task ends; they stand for its memory.
  // `executor` computes the steps and outlives the task's completion.
  Task(Executor* executor, int64_t tokens, absl::Time deadline)
      : executor_(executor), tokens_(tokens), deadline_(deadline) {}
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // Steps that can be computed now: none of them needs another one. 0 when all have been. Changes
  // only while the task is executed.
  virtual int64_t ready() const = 0;
  // Steps that have not been computed, and at most how many of them have to follow each other.
  virtual int64_t steps_left() const = 0;
  virtual int64_t depth_left() const = 0;

  // Called once, from a scheduler thread or from Cancel, without locks held. OK: every step has
  // been computed. CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE: some have not, and none will be.
  virtual void Complete(absl::Status status) = 0;

  Executor* executor() const { return executor_; }
  int64_t tokens() const { return tokens_; }
  absl::Time deadline() const { return deadline_; }

 private:
  Executor* executor_;
  int64_t tokens_;
  absl::Time deadline_;
};

// So many of the ready steps of a task.
struct Slice {
  Task* task = nullptr;
  int64_t steps = 0;
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
