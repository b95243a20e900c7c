// The texts of a run: what it trains on, and what it is validated on.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/train/recipe.h"

namespace bitlm::trainer {

struct RunTexts {
  std::vector<std::vector<std::string>> train, synthetic, valid;  // Sentences of words.
  // A file with the sentences of `valid`, one a line: data.valid itself where it is that.
  std::string valid_path;
};

// Reads the recipe's files. Validation text that is not a file of lines as it stands, or that has
// blank lines which the recipe leaves out, is written to `directory`/valid.txt, unless it is there
// already. Errors: as ReadSentences, ReadTextFile and WriteFileAtomically; INVALID_ARGUMENT when a
// text has no sentence.
absl::StatusOr<RunTexts> ReadRunTexts(const Recipe& recipe, const std::string& directory);

}  // namespace bitlm::trainer
