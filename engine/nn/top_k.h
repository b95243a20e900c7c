// TopK: the k most probable words of a stream of logits.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/vocabulary.h"

namespace bitlm {

struct ScoredWord {
  float logit = 0;
  TokenId token = 0;
};

// Whether `a` comes before `b`: higher logit first, ties by lower id. A total order of all floats:
// the zeros are equal, NaN has a place.
inline bool ComesBefore(const ScoredWord& a, const ScoredWord& b) {
  const auto key = [](float x) {
    const int32_t bits = std::bit_cast<int32_t>(x + 0.0f);  // -0 becomes +0.
    return bits ^ ((bits >> 31) & 0x7fffffff);
  };
  const int32_t key_a = key(a.logit);
  const int32_t key_b = key(b.logit);
  return key_a != key_b ? key_a > key_b : a.token < b.token;
}

// Adds logits[i] of word first + i, for all i, to `heap`, which keeps the k that come first: a heap
// with the last of them in front. k > 0.
void KeepTopK(std::span<const float> logits, TokenId first, size_t k,
              std::vector<ScoredWord>* heap);

}  // namespace bitlm
