// Tasks and an executor without a model, for tests.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "server/batching/task.h"

namespace bitlm {

// A task of levels of so many steps each; all of a level come before the next one.
class FakeTask : public Task {
 public:
  FakeTask(Executor* executor, std::vector<int64_t> levels,
           absl::Time deadline = absl::InfiniteFuture(), int64_t tokens = 0)
      : Task(executor,
             tokens > 0 ? tokens : std::accumulate(levels.begin(), levels.end(), int64_t{0}),
             deadline),
        levels_(std::move(levels)) {}

  int64_t ready() const override { return level_ < levels_.size() ? levels_[level_] : 0; }
  int64_t steps_left() const override {
    return std::accumulate(levels_.begin(), levels_.end(), int64_t{0});
  }
  int64_t depth_left() const override { return static_cast<int64_t>(levels_.size() - level_); }
  void Complete(absl::Status) override {}

  void Run(int64_t steps) {
    assert(steps >= 1 && steps <= ready());
    levels_[level_] -= steps;
    if (levels_[level_] == 0) ++level_;
  }

 private:
  std::vector<int64_t> levels_;
  size_t level_ = 0;
};

class FakeExecutor : public Executor {
 public:
  void Execute(std::span<const Slice> slices) override {
    for (const Slice& slice : slices) static_cast<FakeTask*>(slice.task)->Run(slice.steps);
  }
};

}  // namespace bitlm
