#include "trainer/eval/word_pairs.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"

namespace bitlm::trainer {

absl::StatusOr<std::vector<WordPair>> ParseWordPairs(std::string_view text,
                                                     std::string_view source) {
  std::vector<WordPair> pairs;
  int line_number = 0;
  const auto error = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrFormat("%s: line %d: %s; expected word1 word2 score",
                                                      ToAbsl(source), line_number, what));
  };
  for (absl::string_view line : absl::StrSplit(ToAbsl(text), '\n')) {
    ++line_number;
    const std::vector<std::string> fields =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r\v\f"), absl::SkipEmpty());
    if (fields.empty()) continue;
    if (fields.size() != 3) {
      return error(absl::StrFormat("%d field%s", fields.size(), fields.size() == 1 ? "" : "s"));
    }
    WordPair pair{.first = fields[0], .second = fields[1]};
    if (!absl::SimpleAtod(fields[2], &pair.score) || !std::isfinite(pair.score)) {
      return error(absl::StrFormat("\"%s\" is not a number", fields[2]));
    }
    pairs.push_back(std::move(pair));
  }
  if (pairs.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat("%s: no word pairs", ToAbsl(source)));
  }
  return pairs;
}

}  // namespace bitlm::trainer
