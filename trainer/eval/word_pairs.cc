#include "trainer/eval/word_pairs.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"

namespace bitlm::trainer {
namespace {

std::vector<std::string> FieldsOf(absl::string_view line) {
  line = absl::StripAsciiWhitespace(line);
  const bool tabs = line.find('\t') != absl::string_view::npos;
  const bool commas = !tabs && line.find_first_of(",;") != absl::string_view::npos;
  std::vector<std::string> fields = absl::StrSplit(line, absl::ByAnyChar(tabs     ? "\t"
                                                                         : commas ? ",;"
                                                                                  : " \t\r\v\f"));
  for (std::string& field : fields) absl::StripAsciiWhitespace(&field);
  std::erase(fields, "");
  return fields;
}

// The first number from the third field on.
std::optional<double> ScoreOf(const std::vector<std::string>& fields) {
  for (size_t i = 2; i < fields.size(); ++i) {
    double score;
    if (absl::SimpleAtod(fields[i], &score)) return score;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::vector<WordPair>> ParseWordPairs(std::string_view text,
                                                     std::string_view source) {
  std::vector<WordPair> pairs;
  int line_number = 0;
  bool first = true;
  for (absl::string_view line : absl::StrSplit(ToAbsl(text), '\n')) {
    ++line_number;
    const std::vector<std::string> fields = FieldsOf(line);
    if (fields.empty()) continue;
    const bool may_be_header = std::exchange(first, false);
    const auto error = [&](const std::string& what) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "%s: line %d: %s; expected word1 word2 score", ToAbsl(source), line_number, what));
    };
    if (fields.size() < 3) {
      return error(absl::StrFormat("%d field%s", fields.size(), fields.size() == 1 ? "" : "s"));
    }
    const std::optional<double> score = ScoreOf(fields);
    if (!score && may_be_header) continue;
    if (!score) return error(absl::StrFormat("\"%s\" is not a number", fields[2]));
    if (!std::isfinite(*score)) return error("the score is not a finite number");
    pairs.push_back({.first = fields[0], .second = fields[1], .score = *score});
  }
  if (pairs.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat("%s: no word pairs", ToAbsl(source)));
  }
  return pairs;
}

}  // namespace bitlm::trainer
