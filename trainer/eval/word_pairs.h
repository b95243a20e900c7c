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

// Parses lines of two words and their score, which is the first number after them: SimLex-999 has a
// part of speech before it and more columns after it. A line's fields are separated by tabs, else
// by commas or semicolons, else by white space. A first line without a number is a header; empty
// lines are skipped. `source` prefixes messages. Errors: INVALID_ARGUMENT naming the line for fewer
// than three fields or a score that is not a finite number; INVALID_ARGUMENT when there is no pair
// at all.
absl::StatusOr<std::vector<WordPair>> ParseWordPairs(std::string_view text,
                                                     std::string_view source);

}  // namespace bitlm::trainer
