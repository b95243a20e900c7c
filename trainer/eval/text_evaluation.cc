#include "trainer/eval/text_evaluation.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace bitlm::trainer {

absl::StatusOr<EvaluationText> ReadEvaluationText(const std::string& path) {
  BITLM_ASSIGN_OR_RETURN(std::string contents, ReadTextFile(path));
  if (contents.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": empty, expected text, one sentence a line"));
  }
  return EvaluationText{.path = path, .contents = std::move(contents)};
}

absl::StatusOr<PerplexityResult> Evaluate(const LanguageModel& model, const EvaluationText& text,
                                          ContextKind context, ThreadPool* pool) {
  absl::StatusOr<PerplexityResult> result = EvaluateText(model, text.contents, context, pool);
  if (result.ok()) return result;
  return absl::Status(result.status().code(),
                      absl::StrCat(text.path, ": ", result.status().message()));
}

}  // namespace bitlm::trainer
