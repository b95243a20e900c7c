// The recipes of trainer/recipes: each is of a run that would begin, and they fit together.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_split.h"
#include "trainer/init/from_model_check.h"
#include "trainer/init/tied_table.h"
#include "trainer/layers/matrix_planes.h"
#include "trainer/train/recipe.h"
#include "trainer/train/run_checks.h"

namespace bitlm::trainer {
namespace {

// "NAME" of "runs/NAME" and "runs/NAME/…"; "" of other files.
std::string RunOf(const std::string& path) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  return parts.size() > 1 && parts[0] == "runs" ? parts[1] : "";
}

class RecipesOfTheTreeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::setenv("BITLM_DATA", "/somewhere", 0), 0);
    for (const auto& file :
         std::filesystem::directory_iterator(std::string(BITLM_SOURCE_DIR) + "/trainer/recipes")) {
      if (file.path().extension() != ".recipe") continue;
      const auto recipe = ReadRecipe(file.path().string(), {});
      ASSERT_TRUE(recipe.ok()) << recipe.status();
      recipes_.emplace(file.path().stem().string(), *recipe);
    }
    ASSERT_GT(recipes_.size(), 20u);
  }
  // Of a run that `key` of `recipe` names, which has to be one of a recipe here; null if it is not.
  const Recipe* Source(const Recipe& recipe, const std::string& key, const std::string& path) {
    const auto source = recipes_.find(RunOf(path));
    if (source != recipes_.end()) return &source->second;
    ADD_FAILURE() << recipe.name << ": " << key << ": " << path << ": no recipe makes it";
    return nullptr;
  }
  // What a run says of another one's words is true of recipes with the same text and size.
  static void ExpectTheSameWords(const Recipe& recipe, const Recipe& source) {
    EXPECT_EQ(recipe.train, source.train);
    EXPECT_EQ(recipe.vocabulary_size, source.vocabulary_size);
    EXPECT_EQ(recipe.hold_out, source.hold_out);
    EXPECT_EQ(recipe.line_format.column, source.line_format.column);
    EXPECT_EQ(recipe.model.normalization, source.model.normalization);
    EXPECT_EQ(recipe.model.head, source.model.head);
    EXPECT_EQ(recipe.model.classes, source.model.classes);
  }
  // Every run that `recipe` reads from.
  static std::set<std::string> RunsBefore(const Recipe& recipe) {
    std::set<std::string> runs{RunOf(recipe.initial_run), RunOf(recipe.initial_model)};
    for (const auto* paths : {&recipe.teacher_models, &recipe.synthetic, &recipe.train}) {
      for (const std::string& path : *paths) runs.insert(RunOf(path));
    }
    runs.erase("");
    return runs;
  }

  std::map<std::string, Recipe> recipes_;
};

// What it trains has the file's name, so that results are found by it.
TEST_F(RecipesOfTheTreeTest, AreOfRunsThatBegin) {
  for (const auto& [name, recipe] : recipes_) {
    EXPECT_EQ(recipe.name, name);
    EXPECT_TRUE(CheckRun(recipe).ok()) << name << ": " << CheckRun(recipe);
    ModelConfig config = recipe.model;
    config.vocabulary_size = 10000;
    EXPECT_TRUE(CheckTrainable(config).ok()) << name << ": " << CheckTrainable(config);
  }
}

// Of what a run makes of a model of shape `from` before it starts from it: one with a table of
// codes (tied_table.h), or with two tables in the place of one (from_model.h).
ModelConfig AsStarted(ModelConfig from, const Recipe& recipe) {
  const ModelConfig& to = recipe.model;
  if (NeedsTiedTable(from, to)) {
    const bool fitted = MatrixPlanesOf(to, recipe.shape).tables > 0;
    from.embedding = fitted ? MatrixKind::kFloat : MatrixKind::kBinary;
    from.embedding_size = to.embedding_size;
    from.output_projection = MatrixKind::kFloat;
  } else if (from.output_embedding == MatrixKind::kTied && from.embedding == MatrixKind::kFloat &&
             to.output_embedding != MatrixKind::kTied) {
    from.output_embedding = MatrixKind::kFloat;
  }
  return from;
}

// init.model and distillation.model: models that another recipe exports, of the same words.
TEST_F(RecipesOfTheTreeTest, StartAndLearnFromModelsOfOneAnother) {
  int models = 0;
  for (const auto& [name, recipe] : recipes_) {
    std::vector<std::string> paths = recipe.teacher_models;
    if (!recipe.initial_model.empty()) paths.push_back(recipe.initial_model);
    for (const std::string& path : paths) {
      SCOPED_TRACE(name + ": " + path);
      const Recipe* source = Source(recipe, "model", path);
      if (source == nullptr) continue;
      EXPECT_EQ(path, "runs/" + source->name + "/models/" + source->name + "/1");
      ExpectTheSameWords(recipe, *source);
      ++models;
    }
  }
  EXPECT_GT(models, 40);
}

// init.model: of a shape that the network can start from.
TEST_F(RecipesOfTheTreeTest, StartFromModelsThatFit) {
  for (const auto& [name, recipe] : recipes_) {
    if (recipe.initial_model.empty()) continue;
    const Recipe* source = Source(recipe, "init.model", recipe.initial_model);
    if (source == nullptr) continue;
    const bool fitted = MatrixPlanesOf(recipe.model, recipe.shape).tables > 0;
    const absl::Status status =
        CheckMatches(AsStarted(source->model, recipe), recipe.model, fitted);
    EXPECT_TRUE(status.ok()) << name << ": init.model: " << status;
  }
}

// init.run: of a recipe whose weights mean the same.
TEST_F(RecipesOfTheTreeTest, GoOnFromRunsOfTheSameNetwork) {
  int runs = 0;
  for (const auto& [name, recipe] : recipes_) {
    if (recipe.initial_run.empty()) continue;
    SCOPED_TRACE(name + ": " + recipe.initial_run);
    const Recipe* source = Source(recipe, "init.run", recipe.initial_run);
    if (source == nullptr) continue;
    EXPECT_EQ(recipe.initial_run, "runs/" + source->name);
    ExpectTheSameWords(recipe, *source);
    ModelConfig model = source->model;
    model.preset = recipe.model.preset;
    model.context = recipe.model.context;
    model.activation_planes = recipe.model.activation_planes;
    model.self_normalized = recipe.model.self_normalized;
    EXPECT_TRUE(model == recipe.model);
    EXPECT_EQ(source->shape.fitted_scales, recipe.shape.fitted_scales);
    EXPECT_EQ(source->shape.binary_bias, recipe.shape.binary_bias);
    ++runs;
  }
  EXPECT_GT(runs, 8);
}

// In some order each finds what it needs; generated text is beside the model that generated it.
TEST_F(RecipesOfTheTreeTest, CanBeTrainedOneAfterAnother) {
  std::set<std::string> trained, open;
  const std::function<void(const Recipe&)> train = [&](const Recipe& recipe) {
    if (trained.contains(recipe.name)) return;
    if (!open.insert(recipe.name).second) {
      ADD_FAILURE() << recipe.name << ": needs itself";
      return;
    }
    for (const std::string& run : RunsBefore(recipe)) {
      const Recipe* source = Source(recipe, "runs/" + run, "runs/" + run);
      if (source != nullptr) train(*source);
    }
    trained.insert(recipe.name);
  };
  for (const auto& [name, recipe] : recipes_) train(recipe);
  EXPECT_EQ(trained.size(), recipes_.size());
}

}  // namespace
}  // namespace bitlm::trainer
