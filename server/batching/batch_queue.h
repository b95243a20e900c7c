// BatchQueue: decides which steps run next. Pure policy: no lock, no thread, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/batching/task.h"

namespace bitlm {

struct BatchQueueOptions {
  // Tokens of the tasks that wait or run, all together. At least 1.
  int64_t max_queue_tokens = 65536;
  // Steps of one batch. At least 1.
  int64_t max_batch_rows = 256;
  // How long tasks may wait for others while no task runs and the batch is not full; no task longer
  // than half the time to its deadline. 0: whatever waits when the engine is free is the next
  // batch. At least 0.
  absl::Duration max_queue_delay = absl::ZeroDuration();
  // A task without a deadline, or with a later one, takes its turn as if it had this long.
  absl::Duration patience = absl::Seconds(2);
};

// Steps to execute together: one executor, one slice per task.
struct Batch {
  Executor* executor = nullptr;
  std::vector<Slice> slices;
  int64_t rows = 0;
  // How long each task waited that is in a batch for the first time.
  std::vector<absl::Duration> first_waits;
};

// Tasks in the order of their slack: the time that they can still wait if batches take as long as
// they did lately; those with equal slack in the order of their arrival. In every batch the first
// ones, as many as a batch has rows, have an even share of the rows, at least one each; what some
// do not need goes to the others in order. A batch is of the executor of the first task.
//
// Every batch that a task is in takes it back by a batch's time, so a long task does not hold up
// short ones that come later. The places of those that wait stay, while time goes on, and with it
// the places of those that come: nobody starves.
class BatchQueue {
 public:
  explicit BatchQueue(const BatchQueueOptions& options) : options_(options) {}

  // Queues a task that has steps to compute. Errors: RESOURCE_EXHAUSTED when its tokens do not fit
  // beside those of the others; INVALID_ARGUMENT when they never can.
  absl::Status Add(std::shared_ptr<Task> task, absl::Time now);

  // What the next batches will take, as far as can be told; for tasks' slack. Zero at first.
  void SetBatchTime(absl::Duration time) { batch_time_ = time; }

  // Replaces max_queue_delay, for those that wait too.
  void SetDelay(absl::Duration delay);

  // A task that left the queue.
  struct Ended {
    std::shared_ptr<Task> task;
    bool complete = false;  // Whether every step has been computed.
    int64_t steps = 0;      // That were computed: in vain if it is not complete.
  };

  // Between batches: removes and returns the tasks whose deadline has passed, and of the first ones
  // those that cannot keep it, not even with all rows, or have not begun and hardly can. When no
  // batch has run for a while, one of the latter stays, so that a bad estimate is corrected.
  std::vector<Ended> TakeExpired(absl::Time now);

  // Removes a task that is not in the running batch. Nothing when it is not here, or is in the
  // batch: then no further step of it will run, and Finish returns it.
  std::optional<Ended> Remove(const Task* task);

  // When NextBatch will have a batch if nothing is added: InfiniteFuture when nothing waits.
  absl::Time NextDue() const;

  // The next batch, or nothing when none is due. One batch at a time: Finish comes before the next
  // NextBatch.
  std::optional<Batch> NextBatch(absl::Time now);

  // Ends the running batch. Returns its tasks that have no step left, or were removed meanwhile.
  std::vector<Ended> Finish();

  // Removes everything that is not in the running batch; what is in it is marked as removed.
  std::vector<Ended> TakeAll();

  // Rows that a batch could have now.
  int64_t ReadyRows() const;
  // Tokens of the tasks that are here.
  int64_t queued_tokens() const { return queued_tokens_; }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }

 private:
  // Its place in the queue: what it was when the task came, moved by what was computed of it.
  struct Place {
    absl::Time latest_start;
    uint64_t arrival = 0;
    bool operator<(const Place& other) const {
      return std::tie(latest_start, arrival) < std::tie(other.latest_start, other.arrival);
    }
  };
  struct Entry {
    std::shared_ptr<Task> task;
    Place place;
    absl::Time added;
    int64_t steps = 0;     // Computed, or in the running batch.
    bool running = false;  // In the running batch.
    bool removed = false;
  };
  using Entries = std::unordered_map<const Task*, Entry>;

  using ByTime = std::set<std::pair<absl::Time, const Task*>>;

  // What the task needs at least, in the time that batches take.
  absl::Duration TimeLeft(const Task& task) const;
  // Until when an entry may wait for others.
  absl::Time Due(const Entry& entry) const;
  // Takes an entry out.
  Ended Erase(const Task* task, bool complete);

  BatchQueueOptions options_;
  absl::Duration batch_time_;
  absl::Time last_batch_ = absl::InfinitePast();
  uint64_t arrivals_ = 0;
  Entries entries_;
  // The same by executor and place, by deadline, and those that no batch had by when they are due.
  std::map<Executor*, std::map<Place, Entry*>> places_;
  ByTime deadlines_;
  ByTime due_;
  std::vector<Entry*> running_;
  int64_t queued_tokens_ = 0;
};

}  // namespace bitlm
