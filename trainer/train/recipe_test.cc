#include "trainer/train/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/file.h"

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
           {"distillation.temperature = 0\n", "expected a number in [0.1, 100]"},
           {"name = x\ndata.train = a\ndata.valid = v\nmodel.preset = lstm\n"
            "model.hidden_size = 4\ndropout.projection = 0.1\n",
            "dropout.projection: the model has no output_projection"},
           {"name = x\ndata.train = a\ndata.valid = v\nmodel.preset = lstm\n"
            "model.hidden_size = 4\naverage.patience = 5\n",
            "average.patience: needs average.decay"},
           {"schedule = sine\n", "expected one of: constant, cosine, halving, linear"},
           {"clip_latent = 0\n", "expected one of: false, true"},
           {"name = x\ndata.train = a\ndata.valid = b\nmodel.preset = bllm\n"
            "model.hidden_size = 8\nbinary.anneal = 0.5\n",
            "r: binary.anneal: needs fitted scales"},
           {"name = x\ndata.train = a\ndata.valid = b\nmodel.preset = bllm\nmodel.bit_planes = 2\n"
            "model.hidden_size = 8\nbinary.anneal = 0.5\nmodel.projection_planes = 1\n",
            "r: binary.anneal: needs fitted scales"},
           {"name = x\ndata.train = a\ndata.valid = b\nmodel.preset = lstm\nmodel.bit_planes = 2\n"
            "model.hidden_size = 8\nbinary.anneal = 0.5\n",
            "r: binary.anneal: needs fitted scales"},
           {"name = x\ndata.train = a\ndata.valid = v\nmodel.preset = bllm\n"
            "model.hidden_size = 4\nbinary.bias = true\n",
            "r: binary.bias: goes with recurrent binary and scale per_matrix"},
           {"name = x\ndata.train = a\ndata.valid = v\nmodel.preset = lstm\n"
            "model.hidden_size = 4\ndropout.hidden = 0.1\n",
            "r: dropout.hidden: is between layers, and there is one"},
           {"name = x\ndata.train = a\ndata.valid = v\nmodel.preset = bllm\n"
            "model.hidden_size = 4\nself_normalization.dimensions = 2\n",
            "r: self_normalization.dimensions: needs model.self_normalized"},
           {"data.hold_out = 1\n", "data.hold_out: \"1\": expected 0, or an integer from 2"},
           {"name = x\n", "data.train is missing"}}) {
    const auto recipe = ParseRecipe(text, "r", {});
    EXPECT_EQ(recipe.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(recipe.status().message()), HasSubstr(fragment));
  }
}

TEST(RecipeTest, AnnealsWhereAllBinaryMatricesAreFitted) {
  const auto recipe = ParseRecipe(
      "name = x\ndata.train = a\ndata.valid = b\nmodel.preset = custom\nmodel.hidden_size = 8\n"
      "model.output_projection = binary\nmodel.projection_planes = 2\nbinary.anneal = 0.5\n",
      "r", {});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->model.bit_planes, 1);
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
  EXPECT_TRUE(CheckTrainable(config).ok());
}

TEST(RecipeTest, IncludesStandForTheirLines) {
  const std::string folder = testing::TempDir() + "/recipe_includes";
  std::filesystem::create_directories(folder + "/parts");
  const auto write = [&](const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(folder + "/" + name, text).ok());
  };
  write("parts/data.recipe", "data.train = a\ndata.valid = v\ninclude = more.recipe\nseed = 3\n");
  write("parts/more.recipe", "epochs = 5");
  write("x.recipe",
        "name = x\ninclude = parts/data.recipe  # where it is\nseed = 4\n"
        "model.preset = bllm\nmodel.hidden_size = 8\n");
  const auto recipe = ReadRecipe(folder + "/x.recipe", {});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->epochs, 5);
  EXPECT_EQ(recipe->seed, 4u);
  EXPECT_THAT(recipe->train, testing::ElementsAre("a"));
  // What is stored beside the results needs no other file.
  EXPECT_THAT(recipe->text, HasSubstr("epochs = 5\n"));
  EXPECT_THAT(recipe->text, testing::Not(HasSubstr("include")));

  write("round.recipe", "include = round.recipe\n");
  EXPECT_THAT(std::string(ReadRecipe(folder + "/round.recipe", {}).status().message()),
              HasSubstr("too deep"));
  write("lost.recipe", "include = nowhere.recipe\n");
  const auto lost = ReadRecipe(folder + "/lost.recipe", {});
  EXPECT_EQ(lost.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(lost.status().message()), HasSubstr("lost.recipe: line 1: include: "));
  write("parts/more.recipe", "epochs = 5\n\nepochs = many\n");
  EXPECT_THAT(std::string(ReadRecipe(folder + "/x.recipe", {}).status().message()),
              HasSubstr("parts/more.recipe: line 3: epochs: "));
  write("empty.recipe", "include\n");
  EXPECT_THAT(std::string(ReadRecipe(folder + "/empty.recipe", {}).status().message()),
              HasSubstr("expected a file"));
}

TEST(RecipeTest, OverridesComeLastAndCommentsAreDropped) {
  const auto recipe = ParseRecipe(
      "# all of it\nname = x  # a name\ndata.train = a b#1/c\t# files\ndata.hold_out = 5\n"
      "model.preset = bllm\nmodel.hidden_size = 8\nlearning_rate = 1\n",
      "r",
      {"learning_rate=0.5", "model.hidden_size=16", "data.hold_out=0", "data.valid=v",
       "stop_epoch=3"});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->name, "x");
  EXPECT_THAT(recipe->train, testing::ElementsAre("a", "b#1/c"));
  EXPECT_EQ(recipe->hold_out, 0);
  EXPECT_EQ(recipe->valid, "v");
  EXPECT_EQ(recipe->stop_epoch, 3);
  EXPECT_EQ(recipe->schedule.learning_rate, 0.5);
  EXPECT_EQ(recipe->model.hidden_size, 16);
  EXPECT_EQ(recipe->model.embedding_size, 16);
}

TEST(RecipeTest, ReadsTeachersAndPenalties) {
  const auto recipe = ParseRecipe(
      "name = x\ndata.train = a\ndata.valid = v\nmodel.preset = bllm\nmodel.hidden_size = 8\n"
      "distillation.model = one/1  two/1\ndistillation.temperature = 2\n"
      "activation_regularization = 2\ntemporal_activation_regularization = 1\n"
      "dropout.state = 0.3\ndropout.projection = 0.1\n",
      "r", {});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_THAT(recipe->teacher_models, testing::ElementsAre("one/1", "two/1"));
  EXPECT_EQ(recipe->distillation_temperature, 2);
  EXPECT_EQ(recipe->penalties.activations.activation, 2);
  EXPECT_EQ(recipe->penalties.activations.temporal, 1);
  EXPECT_EQ(recipe->dropout.state, 0.3);
  EXPECT_EQ(recipe->dropout.projection, 0.1);
}

// Keys that go on to their users as they are.
TEST(RecipeTest, ReadsWhatOptimizersAndInitialValuesAreTold) {
  const auto recipe = ParseRecipe(
      "name = x\ndata.train = a\ndata.valid = v\nmodel.preset = bllm\nmodel.hidden_size = 8\n"
      "adam.beta1 = 0.8\nadam.beta2 = 0.98\nadam.epsilon = 1e-4\ninit.count_power = 0.25\n"
      "softmax.samples = 2048\nsoftmax.sampled_part = 0.7\nlicense = MIT\n"
      "expected_perplexity = 81.5\n",
      "r", {});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->optimizer.beta1, 0.8);
  EXPECT_EQ(recipe->optimizer.beta2, 0.98);
  EXPECT_EQ(recipe->optimizer.epsilon, 1e-4);
  EXPECT_EQ(recipe->initial_count_power, 0.25);
  EXPECT_EQ(recipe->shape.softmax_samples, 2048);
  EXPECT_EQ(recipe->sampled_part, 0.7);
  EXPECT_EQ(recipe->license, "MIT");
  EXPECT_EQ(recipe->expected_perplexity, 81.5);
}

}  // namespace
}  // namespace bitlm::trainer
