// Corpus: text files as token ids, and the vocabulary built from them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "engine/model/vocabulary.h"
#include "trainer/data/line_format.h"

namespace bitlm::trainer {

// Sentences of words, one a line, as the serving engine splits them.
// Errors: INVALID_ARGUMENT naming file and line for invalid text, a missing field, or a literal
// </s> or <s>.
absl::StatusOr<std::vector<std::vector<std::string>>> ReadSentences(
    const std::vector<std::string>& paths, NormalizationKind normalization,
    const LineFormat& format = {});

// The `size` - 2 most frequent words (ties in byte order) after <unk> and </s>; all words when size
// is 0. Literal <unk> in the text counts as <unk>. Errors: INVALID_ARGUMENT for a literal </s> or
// <s>.
absl::StatusOr<Vocabulary> BuildVocabulary(const std::vector<std::vector<std::string>>& sentences,
                                           int size);

// Sentence s is tokens [starts[s], starts[s + 1]), its </s> included.
struct TokenizedCorpus {
  std::vector<TokenId> tokens;
  std::vector<int64_t> starts{0};

  int64_t sentences() const { return static_cast<int64_t>(starts.size()) - 1; }
};

TokenizedCorpus TokenizeCorpus(const std::vector<std::vector<std::string>>& sentences,
                               const Vocabulary& vocabulary);

// Adds the sentences of `more` after those of `corpus`.
void Append(const TokenizedCorpus& more, TokenizedCorpus* corpus);

}  // namespace bitlm::trainer
