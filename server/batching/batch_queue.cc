#include "server/batching/batch_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace bitlm {
namespace {

// What was learned from the last batch may not hold any more.
constexpr absl::Duration kStale = absl::Milliseconds(10);
// What has not begun has to have this much time for its steps: others may come between.
constexpr double kMargin = 1.5;

}  // namespace

absl::Status BatchQueue::Add(std::shared_ptr<Task> task, absl::Time now) {
  const int64_t tokens = task->tokens();
  if (tokens > options_.max_queue_tokens) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the request takes %d tokens of the queue, more than max_queue_tokens "
                        "(%d); split it",
                        tokens, options_.max_queue_tokens));
  }
  if (tokens > options_.max_queue_tokens - queued_tokens_) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("queue full: %d tokens in it, %d more would exceed max_queue_tokens (%d)",
                        queued_tokens_, tokens, options_.max_queue_tokens));
  }
  queued_tokens_ += tokens;
  const Task* key = task.get();
  Entry& entry = entries_[key];
  entry.added = now;
  entry.place = {
      .latest_start = std::min(task->deadline() - TimeLeft(*task), now + options_.patience),
      .arrival = arrivals_++};
  entry.task = std::move(task);
  places_[entry.task->executor()].emplace(entry.place, &entry);
  deadlines_.emplace(entry.task->deadline(), key);
  due_.emplace(Due(entry), key);
  return absl::OkStatus();
}

absl::Time BatchQueue::Due(const Entry& entry) const {
  return entry.added +
         std::min(options_.max_queue_delay, (entry.task->deadline() - entry.added) / 2);
}

void BatchQueue::SetDelay(absl::Duration delay) {
  due_.clear();
  options_.max_queue_delay = delay;
  for (const auto& [task, entry] : entries_) {
    if (entry.steps == 0) due_.emplace(Due(entry), task);
  }
}

BatchQueue::Ended BatchQueue::Erase(const Task* task, bool complete) {
  const auto found = entries_.find(task);
  Entry& entry = found->second;
  queued_tokens_ -= task->tokens();
  const auto places = places_.find(task->executor());
  places->second.erase(entry.place);
  if (places->second.empty()) places_.erase(places);
  deadlines_.erase({task->deadline(), task});
  if (entry.steps == 0) due_.erase({Due(entry), task});
  Ended ended = {.task = std::move(entry.task), .complete = complete, .steps = entry.steps};
  entries_.erase(found);
  return ended;
}

absl::Duration BatchQueue::TimeLeft(const Task& task) const {
  return std::max(task.depth_left(), task.steps_left() / options_.max_batch_rows) * batch_time_;
}

int64_t BatchQueue::ReadyRows() const {
  int64_t rows = 0;
  for (const auto& [task, entry] : entries_) {
    rows += task->ready();
    if (rows >= options_.max_batch_rows) return options_.max_batch_rows;
  }
  return rows;
}

std::vector<BatchQueue::Ended> BatchQueue::TakeExpired(absl::Time now) {
  std::vector<const Task*> late;
  for (const auto& [deadline, task] : deadlines_) {
    if (deadline > now) break;
    late.push_back(task);
  }
  const size_t expired = late.size();
  for (const auto& [executor, places] : places_) {
    int64_t rows = 0;
    for (const auto& [place, entry] : places) {
      if (++rows > options_.max_batch_rows) break;
      const absl::Time deadline = entry->task->deadline();
      const double margin = entry->steps == 0 ? kMargin : 1;
      if (deadline > now && now + margin * TimeLeft(*entry->task) > deadline) {
        late.push_back(entry->task.get());
      }
    }
  }
  const bool stale = now - last_batch_ > kStale;
  if (stale && late.size() == entries_.size() && late.size() > expired) late.pop_back();
  std::vector<Ended> ended;
  for (const Task* task : late) ended.push_back(Erase(task, false));
  return ended;
}

std::optional<BatchQueue::Ended> BatchQueue::Remove(const Task* task) {
  const auto found = entries_.find(task);
  if (found == entries_.end()) return std::nullopt;
  if (found->second.running) {
    found->second.removed = true;
    return std::nullopt;
  }
  return Erase(task, false);
}

absl::Time BatchQueue::NextDue() const {
  if (entries_.empty()) return absl::InfiniteFuture();
  const bool begun = due_.size() < entries_.size();
  if (begun || std::cmp_greater_equal(entries_.size(), options_.max_batch_rows)) {
    return absl::InfinitePast();
  }
  return due_.begin()->first;
}

std::optional<Batch> BatchQueue::NextBatch(absl::Time now) {
  if (entries_.empty() || NextDue() > now) return std::nullopt;
  const auto first =
      std::min_element(places_.begin(), places_.end(), [](const auto& a, const auto& b) {
        return a.second.begin()->first < b.second.begin()->first;
      });
  last_batch_ = now;
  Batch batch;
  batch.executor = first->first;
  for (const auto& [place, entry] : first->second) {
    if (std::cmp_equal(running_.size(), options_.max_batch_rows)) break;
    running_.push_back(entry);
  }
  const int64_t share = options_.max_batch_rows / static_cast<int64_t>(running_.size());
  for (const Entry* entry : running_) {
    const int64_t steps = std::min(share, entry->task->ready());
    batch.slices.push_back({.task = entry->task.get(), .steps = steps});
    batch.rows += steps;
  }
  for (Slice& slice : batch.slices) {
    const int64_t more =
        std::min(options_.max_batch_rows - batch.rows, slice.task->ready() - slice.steps);
    slice.steps += more;
    batch.rows += more;
  }
  for (size_t i = 0; i < running_.size(); ++i) {
    Entry& entry = *running_[i];
    if (entry.steps == 0) {
      batch.first_waits.push_back(now - entry.added);
      due_.erase({Due(entry), entry.task.get()});
    }
    entry.running = true;
    entry.steps += batch.slices[i].steps;
  }
  return batch;
}

std::vector<BatchQueue::Ended> BatchQueue::Finish() {
  std::vector<Ended> ended;
  for (Entry* entry : std::exchange(running_, {})) {
    entry->running = false;
    const bool complete = entry->task->ready() == 0;
    if (complete || entry->removed) {
      ended.push_back(Erase(entry->task.get(), complete));
      continue;
    }
    auto& places = places_.at(entry->task->executor());
    auto node = places.extract(entry->place);
    entry->place.latest_start += batch_time_;
    node.key() = entry->place;
    places.insert(std::move(node));
  }
  return ended;
}

std::vector<BatchQueue::Ended> BatchQueue::TakeAll() {
  std::vector<const Task*> waiting;
  for (auto& [task, entry] : entries_) {
    entry.removed = true;
    if (!entry.running) waiting.push_back(task);
  }
  std::vector<Ended> ended;
  for (const Task* task : waiting) ended.push_back(Erase(task, false));
  return ended;
}

}  // namespace bitlm
