#include "trainer/data/line_format.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_format.h"

namespace bitlm::trainer {

absl::StatusOr<std::string_view> SentenceOf(std::string_view line, const LineFormat& format) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return line;
  for (int column = 1; column < format.column; ++column) {
    const size_t bar = line.find('|');
    if (bar == std::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrFormat("%d field%s, expected at least %d", column,
                                                        column == 1 ? "" : "s", format.column));
    }
    line.remove_prefix(bar + 1);
  }
  return format.column == 0 ? line : line.substr(0, line.find('|'));
}

void AddSentence(std::vector<std::string> words, const LineFormat& format,
                 std::vector<std::vector<std::string>>* sentences) {
  if (words.empty() && !format.blank_lines) return;
  if (format.longest == 0 || static_cast<int64_t>(words.size()) <= format.longest) {
    sentences->push_back(std::move(words));
    return;
  }
  const auto longest = static_cast<std::ptrdiff_t>(format.longest);
  auto from = std::make_move_iterator(words.begin());
  const auto end = std::make_move_iterator(words.end());
  while (from != end) {
    const auto to = from + std::min(longest, end - from);
    sentences->emplace_back(from, to);
    from = to;
  }
}

std::vector<std::vector<std::string>> HoldOut(int64_t n, bool at_end,
                                              std::vector<std::vector<std::string>>* sentences) {
  std::vector<std::vector<std::string>> kept, out;
  const size_t count = sentences->size();
  const size_t first = count - (count + static_cast<size_t>(n) - 1) / static_cast<size_t>(n);
  for (size_t s = 0; s < count; ++s) {
    const bool leaves = at_end ? s >= first : (s + 1) % static_cast<size_t>(n) == 0;
    (leaves ? out : kept).push_back(std::move((*sentences)[s]));
  }
  *sentences = std::move(kept);
  return out;
}

}  // namespace bitlm::trainer
