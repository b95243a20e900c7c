#include "trainer/eval/similarity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SimilarityTest : public testing::Test {
 protected:
  SimilarityTest() {
    Model model = RandomModel(TinyConfig("lstm", 6, 2, 2), 1);
    // East, north-east, north, west.
    const std::vector<float> values{1, 0, 1, 1, 0, 1, -1, 0, 5, 5, 5, 5};
    std::copy(values.begin(), values.end(),
              model.tensors.at("embedding.weight").mutable_f32().begin());
    model.vocabulary =
        Vocabulary::FromWords({"east", "northeast", "north", "west", "<unk>", "</s>"}).value();
    model_ = std::make_shared<Model>(std::move(model));
  }

  SimilarityResult Evaluate(const std::vector<WordPair>& pairs, bool exact = false) const {
    return EvaluateSimilarity(*model_, WordTable::Make(model_, TableKind::kInput).value(), pairs,
                              exact);
  }

  std::shared_ptr<const Model> model_;
};

TEST_F(SimilarityTest, RanksCosines) {
  // Cosines 0.71, 0, -1.
  const SimilarityResult result =
      Evaluate({{"east", "northeast", 9}, {"east", "north", 5}, {"east", "west", 1}});
  EXPECT_EQ(result.pairs, 3u);
  EXPECT_EQ(result.covered, 3u);
  EXPECT_EQ(result.spearman, 1);
  EXPECT_THAT(result.missing_words, IsEmpty());
}

TEST_F(SimilarityTest, EqualCosinesAreTies) {
  // Cosines 0, 0, -1, 0.71 (ranks 2.5 2.5 1 4); scores' ranks 2 3 1 4: as SpearmanCorrelationTest.
  const SimilarityResult result = Evaluate(
      {{"east", "north", 5}, {"north", "west", 6}, {"west", "east", 1}, {"north", "northeast", 9}});
  EXPECT_NEAR(result.spearman.value(), 4.5 / std::sqrt(4.5 * 5), 1e-15);
}

TEST_F(SimilarityTest, MissingWordsAreCountedAndNotScored) {
  const SimilarityResult result = Evaluate(
      {{"east", "northeast", 9}, {"up", "down", 100}, {"East", "west", 1}, {"east", "up", -100}});
  EXPECT_EQ(result.pairs, 4u);
  EXPECT_EQ(result.covered, 2u);
  EXPECT_EQ(result.spearman, 1);
  EXPECT_THAT(result.missing_words, ElementsAre("down", "up"));
  const SimilarityResult exact = Evaluate({{"East", "west", 1}, {"east", "west", 2}}, true);
  EXPECT_EQ(exact.covered, 1u);
  EXPECT_THAT(exact.missing_words, ElementsAre("East"));
}

TEST_F(SimilarityTest, WithoutCoverageThereIsNoCorrelation) {
  const SimilarityResult result = Evaluate({{"up", "down", 1}, {"left", "right", 2}});
  EXPECT_EQ(result.covered, 0u);
  EXPECT_FALSE(result.spearman.has_value());
}

}  // namespace
}  // namespace bitlm::trainer
