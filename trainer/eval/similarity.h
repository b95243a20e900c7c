// How well distances of word vectors agree with people's judgement of similarity.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "trainer/eval/word_pairs.h"
#include "trainer/eval/word_table.h"

namespace bitlm::trainer {

struct SimilarityResult {
  size_t pairs = 0;
  size_t covered = 0;  // Pairs whose words are both in the vocabulary; only these are ranked.
  // Nothing when it is not defined: fewer than two pairs covered, or all of one score.
  std::optional<double> spearman;
  std::vector<std::string> missing_words;  // Distinct, as written, sorted by bytes.
};

// Spearman's rank correlation of the pairs' scores with the cosines of the rows of their words in
// `table`, a table of `model` ([LCY18] section 4.4, Table 8, which prints 100 times that). `exact`
// as in FindWord.
SimilarityResult EvaluateSimilarity(const Model& model, const WordTable& table,
                                    std::span<const WordPair> pairs, bool exact);

}  // namespace bitlm::trainer
