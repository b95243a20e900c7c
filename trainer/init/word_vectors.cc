#include "trainer/init/word_vectors.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace bitlm::trainer {
namespace {

constexpr std::string_view kBlanks = " \t\r";

// Takes the last field off `line`; empty when there is none.
std::string_view TakeLast(std::string_view* line) {
  const size_t last = line->find_last_not_of(kBlanks);
  if (last == std::string_view::npos) return {};
  const size_t blank = line->find_last_of(kBlanks, last);
  const size_t begin = blank == std::string_view::npos ? 0 : blank + 1;
  const std::string_view field = line->substr(begin, last + 1 - begin);
  *line = line->substr(0, begin);
  return field;
}

std::string_view Stripped(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

bool IsHeader(std::string_view line) {
  int64_t vectors, size;
  const std::string_view second = TakeLast(&line);
  return absl::SimpleAtoi(ToAbsl(Stripped(line)), &vectors) &&
         absl::SimpleAtoi(ToAbsl(second), &size);
}

int64_t Fields(std::string_view line) {
  int64_t count = 0;
  while (!TakeLast(&line).empty()) ++count;
  return count;
}

// The word of a line, and its values from the back: what is before them is the word.
absl::StatusOr<std::string_view> ParseVector(std::string_view line, std::vector<float>* values) {
  const std::string_view whole = line;
  for (size_t i = values->size(); i-- > 0;) {
    const std::string_view field = TakeLast(&line);
    if (field.empty() || Stripped(line).empty()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%d values, expected %d", Fields(whole) - 1, values->size()));
    }
    if (!absl::SimpleAtof(ToAbsl(field), &(*values)[i]) || !std::isfinite((*values)[i])) {
      return absl::InvalidArgumentError(
          absl::StrFormat("value %d of %d is not a finite number", i + 1, values->size()));
    }
  }
  return Stripped(line);
}

}  // namespace

absl::StatusOr<WordVectorReport> ReadWordVectors(const std::string& path,
                                                 const Vocabulary& vocabulary,
                                                 std::span<const int64_t> counts,
                                                 Parameter<float>* table) {
  BITLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  const auto error = [&](int64_t line, absl::string_view message) {
    return absl::InvalidArgumentError(absl::StrFormat("%s: line %d: %s", path, line, message));
  };
  WordVectorReport report;
  std::vector<bool> found(static_cast<size_t>(vocabulary.size()));
  std::vector<float> values(static_cast<size_t>(table->cols));
  int64_t line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line_number == 1 && IsHeader(line)) continue;
    // Later lines may have words with blanks; were vectors longer, all would seem to.
    const int64_t fields = report.vectors == 0 ? Fields(line) : 0;
    if (fields > table->cols + 1) {
      return error(line_number, absl::StrFormat("%d values, expected embedding_size %d", fields - 1,
                                                table->cols));
    }
    const auto word = ParseVector(line, &values);
    if (!word.ok()) return error(line_number, word.status().message());
    ++report.vectors;
    if (!vocabulary.Contains(*word)) continue;
    const auto id = static_cast<size_t>(vocabulary.Find(*word));
    if (found[id]) {
      ++report.repeated;
      continue;
    }
    found[id] = true;
    std::copy(values.begin(), values.end(), table->value.data() + id * values.size());
  }
  int64_t tokens = 0, covered = 0;
  for (size_t id = 0; id < found.size(); ++id) {
    report.words += found[id];
    tokens += counts[id];
    covered += found[id] ? counts[id] : 0;
  }
  if (report.words == 0) {
    return absl::InvalidArgumentError(path + ": none of the vocabulary's words");
  }
  report.coverage =
      static_cast<double>(covered) / static_cast<double>(std::max<int64_t>(1, tokens));
  return report;
}

}  // namespace bitlm::trainer
