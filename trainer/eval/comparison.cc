#include "trainer/eval/comparison.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"

namespace bitlm::trainer {

bool IsFloatModel(const ModelConfig& config) {
  const auto is_float = [](MatrixKind kind) {
    return kind == MatrixKind::kFloat || kind == MatrixKind::kNone || kind == MatrixKind::kTied;
  };
  return is_float(config.embedding) && is_float(config.output_embedding) &&
         is_float(config.input_projection) && is_float(config.output_projection) &&
         is_float(config.recurrent);
}

absl::StatusOr<ComparedModel> ParseGivenFigures(std::string_view text) {
  const auto error = [&](const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrFormat("\"%s\": %s; expected NAME,BYTES,PERPLEXITY", ToAbsl(text), what));
  };
  const size_t last = text.rfind(',');
  const size_t first = last == std::string_view::npos || last == 0 ? std::string_view::npos
                                                                   : text.rfind(',', last - 1);
  if (first == std::string_view::npos) return error("fewer than three parts");
  ComparedModel row;
  row.name = std::string(absl::StripAsciiWhitespace(ToAbsl(text.substr(0, first))));
  const std::string bytes(text.substr(first + 1, last - first - 1));
  const std::string perplexity(text.substr(last + 1));
  if (row.name.empty()) return error("no name");
  if (!absl::SimpleAtoi(bytes, &row.bytes) || row.bytes == 0) {
    return error(absl::StrFormat("bytes \"%s\" is not a positive integer", bytes));
  }
  if (!absl::SimpleAtod(perplexity, &row.given_perplexity) ||
      !std::isfinite(row.given_perplexity) || row.given_perplexity < 1) {
    return error(absl::StrFormat("perplexity \"%s\" is not a number from 1 up", perplexity));
  }
  return row;
}

absl::StatusOr<std::optional<size_t>> FindBaseline(std::span<const ComparedModel> models,
                                                   std::string_view baseline) {
  std::string names;
  for (size_t i = 0; i < models.size(); ++i) {
    const ComparedModel& model = models[i];
    if (baseline.empty() ? model.config.has_value() && IsFloatModel(*model.config)
                         : model.name == baseline) {
      return i;
    }
    absl::StrAppendFormat(&names, "%s%s", i == 0 ? "" : ", ", model.name);
  }
  if (baseline.empty()) return std::nullopt;
  return absl::NotFoundError(
      absl::StrFormat("baseline \"%s\" is none of: %s", ToAbsl(baseline), names));
}

}  // namespace bitlm::trainer
