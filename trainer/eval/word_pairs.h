// Word similarity test sets: WordSimilarity-353, SimLex-999, RG-65, MEN, and others of their shape.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bitlm::trainer {

struct WordPair {
  std::string first;
  std::string second;
  double score = 0;  // By people; only its order counts.
};

// Parses lines `word1 word2 score`, separated by white space; empty lines are skipped. `source`
// prefixes messages. Errors: INVALID_ARGUMENT naming the line for another number of fields or a
// score that is not a finite number; INVALID_ARGUMENT when there is no pair at all.
absl::StatusOr<std::vector<WordPair>> ParseWordPairs(std::string_view text,
                                                     std::string_view source);

}  // namespace bitlm::trainer
