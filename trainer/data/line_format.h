// LineFormat: where the words of a corpus are in its files' lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bitlm::trainer {

// The default: a line is a sentence.
struct LineFormat {
  // From 1: a line is fields separated by vertical bars, as in SwDA and MRDA, and this one is the
  // sentence. 0 = the whole line.
  int column = 0;
  // Longer sentences are cut into pieces of so many words: for text without lines, such as text8.
  // 0 = not.
  int64_t longest = 0;
  // Whether a blank line is a sentence of no words, whose </s> is predicted, as `bitlm-train eval`
  // has it; it is left out otherwise.
  bool blank_lines = false;
};

// The sentence of a line; of a blank one, nothing. Errors: INVALID_ARGUMENT when there is no such
// field.
absl::StatusOr<std::string_view> SentenceOf(std::string_view line, const LineFormat& format);

// Adds `words` to `sentences`, in pieces. No words add nothing, or with `blank_lines` a sentence.
void AddSentence(std::vector<std::string> words, const LineFormat& format,
                 std::vector<std::vector<std::string>>* sentences);

// Every n-th sentence leaves `sentences` (at_end false), or the last of n parts of them does. n is
// at least 2.
std::vector<std::vector<std::string>> HoldOut(int64_t n, bool at_end,
                                              std::vector<std::vector<std::string>>* sentences);

}  // namespace bitlm::trainer
