#include "trainer/eval/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm::trainer {
namespace {

using ::testing::HasSubstr;

TEST(ParseGivenFiguresTest, TheNameMayHoldCommas) {
  ASSERT_OK_AND_ASSIGN(const ComparedModel row,
                       ParseGivenFigures("KN-5 (8-bit trie, pruned) ,9700000, 141.2"));
  EXPECT_EQ(row.name, "KN-5 (8-bit trie, pruned)");
  EXPECT_EQ(row.bytes, 9700000u);
  EXPECT_EQ(row.given_perplexity, 141.2);
  EXPECT_FALSE(row.config.has_value());
}

TEST(ParseGivenFiguresTest, MistakesNameThePart) {
  const auto expect = [](const std::string& text, const std::string& message) {
    EXPECT_THAT(ParseGivenFigures(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  expect("", "fewer than three parts");
  expect("KN-5", "fewer than three parts");
  expect(",5", "fewer than three parts");
  expect("KN-5,141.2", "fewer than three parts");
  expect(",1,2", "no name");
  expect("KN-5,9.7M,141.2", "bytes \"9.7M\"");
  expect("KN-5,0,141.2", "bytes \"0\"");
  expect("KN-5,-5,141.2", "bytes \"-5\"");
  expect("KN-5,5,", "perplexity \"\"");
  expect("KN-5,5,nan", "perplexity \"nan\"");
  expect("KN-5,5,0.5", "perplexity \"0.5\"");
}

TEST(IsFloatModelTest, EveryMatrixCounts) {
  EXPECT_TRUE(IsFloatModel(PresetConfig("lstm").value()));
  for (const char* preset : {"belm", "bllm", "bw-lstm", "xnor-lstm"}) {
    EXPECT_FALSE(IsFloatModel(PresetConfig(preset).value())) << preset;
  }
  ModelConfig config = PresetConfig("lstm").value();
  config.output_embedding = MatrixKind::kTied;
  EXPECT_TRUE(IsFloatModel(config));
  config.recurrent = MatrixKind::kInt8;
  EXPECT_FALSE(IsFloatModel(config));
}

TEST(FindBaselineTest, ByNameOrTheFirstFloatModel) {
  std::vector<ComparedModel> models(4);
  models[0].name = "n-gram";
  models[1] = {.name = "bits", .config = PresetConfig("bllm").value(), .results = {}};
  models[2] = {.name = "one", .config = PresetConfig("lstm").value(), .results = {}};
  models[3] = {.name = "two", .config = PresetConfig("lstm").value(), .results = {}};
  ASSERT_OK_AND_ASSIGN(auto found, FindBaseline(models, ""));
  EXPECT_EQ(found, 2u);
  ASSERT_OK_AND_ASSIGN(found, FindBaseline(models, "two"));
  EXPECT_EQ(found, 3u);
  ASSERT_OK_AND_ASSIGN(found, FindBaseline(models, "n-gram"));
  EXPECT_EQ(found, 0u);
  EXPECT_THAT(FindBaseline(models, "three"),
              StatusIs(absl::StatusCode::kNotFound,
                       "baseline \"three\" is none of: n-gram, bits, one, two"));
  models.resize(2);
  ASSERT_OK_AND_ASSIGN(found, FindBaseline(models, ""));
  EXPECT_EQ(found, std::nullopt);
}

}  // namespace
}  // namespace bitlm::trainer
