#include "engine/model/word_index.h"

#include <algorithm>

namespace bitlm {

WordIndex::WordIndex(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
  sorted_.reserve(static_cast<size_t>(vocabulary_.size() - 2));
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    if (id == vocabulary_.unknown_id() || id == vocabulary_.end_of_sentence_id()) continue;
    sorted_.push_back(id);
  }
  std::sort(sorted_.begin(), sorted_.end(),
            [&](TokenId a, TokenId b) { return vocabulary_.Word(a) < vocabulary_.Word(b); });
}

std::span<const TokenId> WordIndex::StartingWith(std::string_view prefix) const {
  const auto begin = std::partition_point(
      sorted_.begin(), sorted_.end(), [&](TokenId id) { return vocabulary_.Word(id) < prefix; });
  return {begin, std::partition_point(begin, sorted_.end(), [&](TokenId id) {
            return vocabulary_.Word(id).starts_with(prefix);
          })};
}

}  // namespace bitlm
