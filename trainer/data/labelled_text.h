// Labelled text: sentences with their classes, for classifiers ([ZT] section 4.3).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"

namespace bitlm::trainer {

struct LabelledSentence {
  std::string text;                // As people would write it, words separated by single spaces.
  std::vector<std::string> words;  // As the serving engine splits it.
  int32_t label = 0;
  bool whole = true;  // False: a phrase of a tree, but not the whole of it.
};

// Which labels of a tree count.
enum class PhraseKind {
  kSentences,  // Those of whole trees.
  kDistinct,   // Those of their phrases, too, but once for the same words with the same label.
  kAll,        // Of every phrase wherever it occurs.
};

struct LabelledTextOptions {
  int classes = 2;  // Labels are in [0, classes).
  NormalizationKind normalization = NormalizationKind::kNone;
  PhraseKind phrases = PhraseKind::kSentences;
};

// Reads files of lines, each of which is either a labelled tree in brackets, "(3 (2 It) (4
// shines))" (the Stanford Sentiment Treebank: Socher et al. 2013), or a label, white space and the
// sentence. A tree's words lose the Penn Treebank's escapes: -LRB-, -RRB-, \/ and \*. Blank lines
// are left out, and so are phrases that have no words after normalization; a whole sentence may
// have none. A tree's phrases follow it. Errors: INVALID_ARGUMENT naming file and line; as
// ReadTextFile.
absl::StatusOr<std::vector<LabelledSentence>> ReadLabelledText(
    const std::vector<std::string>& paths, const LabelledTextOptions& options);

}  // namespace bitlm::trainer
