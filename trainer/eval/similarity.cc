#include "trainer/eval/similarity.h"

#include <set>

#include "trainer/eval/find_word.h"
#include "trainer/eval/spearman.h"

namespace bitlm::trainer {

SimilarityResult EvaluateSimilarity(const Model& model, const WordTable& table,
                                    std::span<const WordPair> pairs, bool exact) {
  std::set<std::string> missing;
  std::vector<double> scores;
  std::vector<double> cosines;
  for (const WordPair& pair : pairs) {
    const std::optional<TokenId> first = FindWord(model, pair.first, exact);
    const std::optional<TokenId> second = FindWord(model, pair.second, exact);
    if (!first) missing.insert(pair.first);
    if (!second) missing.insert(pair.second);
    if (!first || !second) continue;
    scores.push_back(pair.score);
    cosines.push_back(table.Cosine(*first, *second));
  }
  return {.pairs = pairs.size(),
          .covered = scores.size(),
          .spearman = SpearmanCorrelation(scores, cosines),
          .missing_words = {missing.begin(), missing.end()}};
}

}  // namespace bitlm::trainer
