#include "server/batching/batch_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace bitlm {

absl::Status BatchQueue::Add(std::shared_ptr<Task> task, absl::Time now) {
  const int64_t tokens = task->queue_tokens();
  if (tokens > options_.max_queue_tokens) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the request takes %d tokens of the queue, more than max_queue_tokens "
                        "(%d); split it",
                        tokens, options_.max_queue_tokens));
  }
  if (tokens > options_.max_queue_tokens - queued_tokens_) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("queue full: %d tokens wait, %d more would exceed max_queue_tokens (%d)",
                        queued_tokens_, tokens, options_.max_queue_tokens));
  }
  queued_tokens_ += tokens;
  Entry entry;
  entry.task = std::move(task);
  entry.added = now;
  entry.queued_tokens = tokens;
  entries_.push_back(std::move(entry));
  return absl::OkStatus();
}

std::vector<std::shared_ptr<Task>> BatchQueue::TakeExpired(absl::Time now) {
  std::vector<std::shared_ptr<Task>> expired;
  std::erase_if(entries_, [&](Entry& entry) {
    if (entry.running || entry.task->deadline() > now) return false;
    queued_tokens_ -= entry.queued_tokens;
    expired.push_back(std::move(entry.task));
    return true;
  });
  return expired;
}

bool BatchQueue::Remove(const Task* task) {
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& entry) { return entry.task.get() == task; });
  if (it == entries_.end()) return false;
  queued_tokens_ -= it->queued_tokens;
  it->queued_tokens = 0;
  if (it->running) {
    it->removed = true;
    return false;
  }
  entries_.erase(it);
  return true;
}

absl::Time BatchQueue::NextDue() const {
  if (entries_.empty()) return absl::InfiniteFuture();
  const bool full = queued_tokens_ >= options_.max_batch_tokens;
  absl::Time due = absl::InfiniteFuture();
  for (const Entry& entry : entries_) {
    const absl::Duration time = (entry.task->deadline() - entry.added) / 2;
    const absl::Duration delay = std::min(options_.max_batch_delay, time);
    due = std::min(due, full ? entry.added : entry.added + delay);
  }
  return due;
}

void BatchQueue::Take(Entry& entry, Slice& slice, int64_t budget, Batch& batch) {
  const std::vector<int64_t>& costs = entry.task->item_tokens();
  while (entry.next_item < costs.size()) {
    const int64_t cost = costs[entry.next_item];
    if (cost > budget && batch.tokens > 0) return;
    budget -= cost;
    batch.tokens += cost;
    entry.queued_tokens -= cost;
    queued_tokens_ -= cost;
    ++entry.next_item;
    ++slice.count;
  }
  queued_tokens_ -= entry.queued_tokens;  // What is left when no item is: the task's extra tokens.
  entry.queued_tokens = 0;
}

std::optional<Batch> BatchQueue::NextBatch(absl::Time now) {
  if (entries_.empty() || NextDue() > now) return std::nullopt;
  Batch batch;
  batch.executor = entries_.front().task->executor();

  std::vector<Entry*> members;
  for (Entry& entry : entries_) {
    if (entry.task->executor() == batch.executor) members.push_back(&entry);
  }
  // First an even share for everybody, as long as there is room for one item each; then the rest in
  // order.
  const int64_t share =
      std::max<int64_t>(1, options_.max_batch_tokens / static_cast<int64_t>(members.size()));
  std::vector<Slice> slices;
  for (Entry* entry : members) {
    Slice slice = {entry->task.get(), entry->next_item, 0};
    const int64_t room = options_.max_batch_tokens - batch.tokens;
    const int64_t first_item = entry->task->item_tokens()[entry->next_item];
    Take(*entry, slice, std::min(room, std::max(share, first_item)), batch);
    slices.push_back(slice);
  }
  for (size_t i = 0; i < members.size(); ++i) {
    Take(*members[i], slices[i], options_.max_batch_tokens - batch.tokens, batch);
  }
  for (size_t i = 0; i < members.size(); ++i) {
    if (slices[i].count == 0) continue;
    members[i]->running = true;
    if (slices[i].first == 0) batch.first_waits.push_back(now - members[i]->added);
    batch.slices.push_back(slices[i]);
  }
  // Those that had their turn go behind those that did not.
  std::stable_partition(entries_.begin(), entries_.end(),
                        [](const Entry& entry) { return !entry.running; });
  return batch;
}

std::vector<BatchQueue::Finished> BatchQueue::Finish() {
  std::vector<Finished> finished;
  std::erase_if(entries_, [&](Entry& entry) {
    if (!entry.running) return false;
    entry.running = false;
    const bool complete = entry.next_item == entry.task->item_tokens().size();
    if (!complete && !entry.removed) return false;
    finished.push_back({std::move(entry.task), complete});
    return true;
  });
  return finished;
}

std::vector<std::shared_ptr<Task>> BatchQueue::TakeAll() {
  std::vector<std::shared_ptr<Task>> taken;
  std::erase_if(entries_, [&](Entry& entry) {
    queued_tokens_ -= entry.queued_tokens;
    entry.queued_tokens = 0;
    if (entry.running) {
      entry.removed = true;
      return false;
    }
    taken.push_back(std::move(entry.task));
    return true;
  });
  return taken;
}

}  // namespace bitlm
