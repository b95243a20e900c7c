#include "engine/scoring/state_cache.h"

#include <algorithm>
#include <random>
#include <utility>

namespace bitlm {
namespace {

// What an entry takes beside its tokens and its state, roughly: list and map nodes, two blocks.
constexpr size_t kOverheadBytes = 192;

// The finalizer of SplitMix64.
uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

uint64_t RandomSeed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

StateCache::StateCache(size_t max_bytes) : max_bytes_(max_bytes), seed_(RandomSeed()) {}

uint64_t StateCache::Start(const LanguageModel& model) const { return Mix(seed_ ^ model.id()); }

uint64_t StateCache::Extend(uint64_t hash, TokenId token) {
  return Mix(hash + 0x9E3779B97F4A7C15u * (static_cast<uint64_t>(token) + 1));
}

const StateCache::Entry* StateCache::Lookup(uint64_t hash, const LanguageModel& model,
                                            std::span<const TokenId> tokens) {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) return nullptr;
  const Entry& entry = *found->second;
  if (entry.model != model.id() || !std::ranges::equal(entry.tokens, tokens)) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &entry;
}

StateCache::Prefix StateCache::Find(const LanguageModel& model, std::span<const TokenId> tokens) {
  if (max_bytes_ == 0) return {};
  std::vector<uint64_t> hashes;  // Of the first 1, 2, … tokens.
  uint64_t hash = Start(model);
  for (const TokenId token : tokens) hashes.push_back(hash = Extend(hash, token));
  MutexLock lock(mutex_);
  for (size_t length = tokens.size(); length > 0; --length) {
    const Entry* entry = Lookup(hashes[length - 1], model, tokens.first(length));
    if (entry == nullptr) continue;
    ++statistics_.hits;
    statistics_.reused_tokens += length;
    return {.length = length, .state = entry->state};
  }
  ++statistics_.misses;
  return {};
}

void StateCache::Insert(const LanguageModel& model, std::span<const TokenId> tokens,
                        const float* state) {
  const size_t bytes = model.state_size() * sizeof(float) + tokens.size_bytes() + kOverheadBytes;
  if (bytes > max_bytes_) return;
  uint64_t hash = Start(model);
  for (const TokenId token : tokens) hash = Extend(hash, token);
  auto copy = std::make_shared_for_overwrite<float[]>(model.state_size());
  std::copy_n(state, model.state_size(), copy.get());
  MutexLock lock(mutex_);
  if (Lookup(hash, model, tokens) != nullptr) return;
  if (const auto same = by_hash_.find(hash); same != by_hash_.end()) Erase(same->second);
  while (statistics_.bytes + bytes > max_bytes_) {
    Erase(std::prev(entries_.end()));
    ++statistics_.evictions;
  }
  entries_.push_front({.hash = hash,
                       .model = model.id(),
                       .tokens = {tokens.begin(), tokens.end()},
                       .state = std::move(copy),
                       .bytes = bytes});
  by_hash_[hash] = entries_.begin();
  statistics_.bytes += bytes;
  statistics_.entries = entries_.size();
}

void StateCache::Drop(const LanguageModel& model) {
  MutexLock lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    if (entry->model == model.id()) Erase(entry);
    entry = next;
  }
}

void StateCache::Erase(Entries::iterator entry) {
  statistics_.bytes -= entry->bytes;
  by_hash_.erase(entry->hash);
  entries_.erase(entry);
  statistics_.entries = entries_.size();
}

StateCacheStatistics StateCache::statistics() const {
  MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace bitlm
