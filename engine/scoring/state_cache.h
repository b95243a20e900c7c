// StateCache: the states after recent contexts, so that a growing context costs one step a word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/nn/language_model.h"

namespace bitlm {

struct StateCacheStatistics {
  uint64_t hits = 0;    // Finds that found some prefix.
  uint64_t misses = 0;  // Finds that found none.
  uint64_t reused_tokens = 0;
  uint64_t evictions = 0;  // To make room.
  size_t entries = 0;
  size_t bytes = 0;
};

// Keeps the most recently used states, of any number of models, in a bounded number of bytes. A
// state is a pure function of model and prefix, so that a cache never changes a result.
// Thread-safe.
class StateCache {
 public:
  // 0 keeps nothing.
  explicit StateCache(size_t max_bytes);

  struct Prefix {
    size_t length = 0;                     // Tokens read; 0: nothing was found.
    std::shared_ptr<const float[]> state;  // [state_size]; null with length 0.
  };
  // The longest prefix of `tokens` whose state in this model is kept.
  Prefix Find(const LanguageModel& model, std::span<const TokenId> tokens);

  // Keeps a copy of `state` [state_size], the one after `tokens`. Does nothing when it is kept
  // already or larger than the bound; otherwise the least recently used ones make room.
  void Insert(const LanguageModel& model, std::span<const TokenId> tokens, const float* state);

  // Forgets all states of a model.
  void Drop(const LanguageModel& model);

  StateCacheStatistics statistics() const;
  size_t max_bytes() const { return max_bytes_; }

 private:
  struct Entry {
    uint64_t hash;
    uint64_t model;
    std::vector<TokenId> tokens;
    std::shared_ptr<const float[]> state;
    size_t bytes;
  };
  using Entries = std::list<Entry>;

  // The hash of nothing, and of a prefix with one more token.
  uint64_t Start(const LanguageModel& model) const;
  static uint64_t Extend(uint64_t hash, TokenId token);
  // The entry of `tokens`, or null.
  const Entry* Lookup(uint64_t hash, const LanguageModel& model, std::span<const TokenId> tokens)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Erase(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_bytes_;
  const uint64_t seed_;  // Nobody outside can aim at a hash.
  mutable Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // The most recently used first.
  // One entry a hash: of two prefixes with the same, the later one stays.
  std::unordered_map<uint64_t, Entries::iterator> by_hash_ ABSL_GUARDED_BY(mutex_);
  StateCacheStatistics statistics_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bitlm
