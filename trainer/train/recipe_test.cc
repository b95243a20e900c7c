#include "trainer/train/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

TEST(RecipeTest, NamesLineAndKeyOfAMistake) {
  for (const auto& [text, fragment] : std::vector<std::pair<std::string, std::string>>{
           {"name = x\nlearning_rat = 1\n", "r: line 2: learning_rat: unknown key"},
           {"learning_rate = fast\n", "r: line 1: learning_rate: \"fast\": expected a number"},
           {"optimizer = lion\n", "expected one of: adam, sgd"},
           {"name = english v2\n", "name: \"english v2\": expected a name of letters"},
           {"name = ..\n", "name: \"..\": expected a name of letters"},
           {"name x\n", "r: line 1: expected \"key = value\""},
           {"name = ${BITLM_NO_SUCH_VARIABLE}\n", "BITLM_NO_SUCH_VARIABLE is not set"},
           {"model.preset = gpt\n", "model.preset"},
           {"model.hidden_size = 5\nmodel.preset = bllm\n", "model.preset: has to come before"},
           {"model.vocabulary_size = 5\n", "use the key vocabulary"},
           {"name = x\n", "data.train is missing"}}) {
    const auto recipe = ParseRecipe(text, "r", {});
    EXPECT_EQ(recipe.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(recipe.status().message()), HasSubstr(fragment));
  }
}

TEST(RecipeTest, RefusesToTrainWhatOnlyTheEngineComputes) {
  for (const std::string& preset : PresetNames()) {
    ModelConfig config = PresetConfig(preset).value();
    config.hidden_size = config.embedding_size = 8;
    config.vocabulary_size = 10;
    EXPECT_TRUE(CheckTrainable(config).ok()) << preset;
    config.norm = NormKind::kLayer;
    EXPECT_TRUE(CheckTrainable(config).ok()) << preset;
  }
  ModelConfig config = PresetConfig("bllm").value();
  config.hidden_size = config.embedding_size = 8;
  config.vocabulary_size = 10;
  EXPECT_TRUE(CheckTrainable(config).ok());
  config.recurrent = MatrixKind::kInt8;
  EXPECT_EQ(CheckTrainable(config).code(), absl::StatusCode::kFailedPrecondition);
  config.recurrent = MatrixKind::kBinary;
  config.bit_planes = 2;
  EXPECT_EQ(CheckTrainable(config).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(RecipeTest, EveryRecipeOfTheRepositoryIsOneThatTrains) {
  ASSERT_EQ(setenv("BITLM_DATA", "data", 1), 0);
  int recipes = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(BITLM_SOURCE_DIR "/trainer/recipes")) {
    const auto recipe = ReadRecipe(entry.path().string(), {});
    ASSERT_TRUE(recipe.ok()) << recipe.status();
    EXPECT_EQ(recipe->name, entry.path().stem());
    ModelConfig config = recipe->model;
    config.vocabulary_size = 10000;
    EXPECT_TRUE(CheckTrainable(config).ok()) << entry.path();
    ++recipes;
  }
  EXPECT_GE(recipes, 9);
}

TEST(RecipeTest, OverridesComeLastAndCommentsAreDropped) {
  const auto recipe = ParseRecipe(
      "name = x  # a name\ndata.train = a b\ndata.valid = v\nmodel.preset = "
      "bllm\nmodel.hidden_size = 8\nlearning_rate = 1\n",
      "r", {"learning_rate=0.5", "model.hidden_size=16"});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->name, "x");
  EXPECT_THAT(recipe->train, testing::ElementsAre("a", "b"));
  EXPECT_EQ(recipe->schedule.learning_rate, 0.5);
  EXPECT_EQ(recipe->model.hidden_size, 16);
  EXPECT_EQ(recipe->model.embedding_size, 16);
}

}  // namespace
}  // namespace bitlm::trainer
