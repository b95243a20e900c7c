#include "trainer/train/run_texts.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "trainer/data/corpus.h"

namespace bitlm::trainer {

absl::StatusOr<RunTexts> ReadRunTexts(const Recipe& recipe, const std::string& directory) {
  const NormalizationKind normalization = recipe.model.normalization;
  RunTexts texts;
  BITLM_ASSIGN_OR_RETURN(texts.train,
                         ReadSentences(recipe.train, normalization, recipe.line_format));
  BITLM_ASSIGN_OR_RETURN(texts.synthetic,
                         ReadSentences(recipe.synthetic, normalization,
                                       {.blank_lines = recipe.line_format.blank_lines}));
  bool as_it_stands = recipe.line_format.column == 0 && recipe.line_format.longest == 0;
  if (recipe.hold_out > 0) {
    as_it_stands = false;
    // Sentences that depend on those before them stay together.
    texts.valid =
        HoldOut(recipe.hold_out, recipe.model.context == ContextKind::kDocument, &texts.train);
  } else {
    LineFormat with_blank_lines = recipe.line_format;
    with_blank_lines.blank_lines = true;
    BITLM_ASSIGN_OR_RETURN(texts.valid,
                           ReadSentences({recipe.valid}, normalization, with_blank_lines));
    if (!recipe.line_format.blank_lines) {
      const auto left_out = std::erase_if(texts.valid, [](const auto& s) { return s.empty(); });
      as_it_stands = as_it_stands && left_out == 0;
    }
  }
  if (texts.train.empty()) return absl::InvalidArgumentError("data.train: no sentence");
  if (texts.valid.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: no sentence", recipe.hold_out > 0 ? "data.hold_out" : "data.valid"));
  }
  texts.valid_path = recipe.valid;
  if (as_it_stands) return texts;
  texts.valid_path = directory + "/valid.txt";
  std::string text;
  for (const auto& sentence : texts.valid) text += absl::StrJoin(sentence, " ") + "\n";
  std::error_code error;
  if (std::filesystem::exists(texts.valid_path, error)) {
    BITLM_ASSIGN_OR_RETURN(const std::string present, ReadFile(texts.valid_path));
    if (present == text) return texts;
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: its text is not the recipe's; take another directory", texts.valid_path));
  }
  std::filesystem::create_directories(directory, error);
  BITLM_RETURN_IF_ERROR(WriteFileAtomically(texts.valid_path, text));
  return texts;
}

}  // namespace bitlm::trainer
