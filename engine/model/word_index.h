// WordIndex: the words of a vocabulary by their beginnings.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/model/vocabulary.h"

namespace bitlm {

// The words of a vocabulary, without <unk> and </s>, in the order of their bytes: four bytes for
// each word beside the vocabulary, which it shares. Immutable and thread-safe.
class WordIndex {
 public:
  // Sorts the words: O(V log V).
  explicit WordIndex(const Vocabulary& vocabulary);

  // The ids of the words that start with `prefix`, in the order of the words' bytes; all words for
  // an empty one. They live as long as the index. Words and a valid UTF-8 prefix agree in whole
  // code points. Cost: O(log V).
  std::span<const TokenId> StartingWith(std::string_view prefix) const;

  // Bytes of the index in memory, the vocabulary's aside.
  uint64_t MemoryBytes() const { return sorted_.capacity() * sizeof(TokenId); }

 private:
  Vocabulary vocabulary_;
  std::vector<TokenId> sorted_;
};

}  // namespace bitlm
