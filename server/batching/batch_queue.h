// BatchQueue: decides which items run next. Pure policy: no lock, no thread, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/batching/task.h"

namespace bitlm {

struct BatchQueueOptions {
  // Tokens that may wait, all tasks together. At least 1.
  int64_t max_queue_tokens = 262144;
  // Tokens of one batch. An item that is larger makes a batch of its own. At least 1.
  int64_t max_batch_tokens = 1024;
  // How long a batch that is not full may wait for more; for no task longer than half the time to
  // its deadline. 0: whatever waits when the engine is free is the next batch. At least 0.
  absl::Duration max_batch_delay = absl::ZeroDuration();
};

// Items to execute together: one executor, one slice per task.
struct Batch {
  Executor* executor = nullptr;
  std::vector<Slice> slices;
  int64_t tokens = 0;
  // How long each task waited that is in a batch for the first time.
  std::vector<absl::Duration> first_waits;
};

// Tasks in the order of their turns. A batch takes the executor of the task whose turn it is and
// shares its tokens evenly among the waiting tasks of that executor, at least an item each; a task
// that has items left goes to the back. So a huge task cannot keep others waiting for longer than
// one batch, and no executor starves.
class BatchQueue {
 public:
  explicit BatchQueue(const BatchQueueOptions& options) : options_(options) {}

  // Queues a task of at least one item. Errors: RESOURCE_EXHAUSTED when its tokens do not fit
  // beside those that wait; INVALID_ARGUMENT when they never can.
  absl::Status Add(std::shared_ptr<Task> task, absl::Time now);

  // From now on no batch waits for more.
  void EndDelay() { options_.max_batch_delay = absl::ZeroDuration(); }

  // Removes and returns the tasks whose deadline has passed and of which nothing is running.
  std::vector<std::shared_ptr<Task>> TakeExpired(absl::Time now);

  // Removes a task of which nothing is running. False when it is not here, or is running: then its
  // remaining items will not be run, and Finish returns it.
  bool Remove(const Task* task);

  // When NextBatch will have a batch if nothing is added: InfiniteFuture when nothing waits.
  absl::Time NextDue() const;

  // The next batch, or nothing when none is due. Its items leave the queue's token count, with the
  // last one of a task the task's extra tokens; a batch's own count is of its items. One batch
  // at a time: Finish comes before the next NextBatch.
  std::optional<Batch> NextBatch(absl::Time now);

  // Ends the running batch. Returns its tasks that have no item left, or were removed meanwhile.
  struct Finished {
    std::shared_ptr<Task> task;
    bool complete = false;  // Whether every item has been executed.
  };
  std::vector<Finished> Finish();

  // Removes everything of which nothing is running; running tasks are marked as removed.
  std::vector<std::shared_ptr<Task>> TakeAll();

  int64_t queued_tokens() const { return queued_tokens_; }
  bool empty() const { return entries_.empty(); }

 private:
  struct Entry {
    std::shared_ptr<Task> task;
    absl::Time added;
    size_t next_item = 0;
    int64_t queued_tokens = 0;  // Of items from next_item on, and the extra ones.
    bool running = false;
    bool removed = false;
  };

  // Extends `slice` of `entry` by items while the budget lasts; the first item of a batch always
  // fits.
  void Take(Entry& entry, Slice& slice, int64_t budget, Batch& batch);

  BatchQueueOptions options_;
  std::deque<Entry> entries_;
  int64_t queued_tokens_ = 0;
};

}  // namespace bitlm
