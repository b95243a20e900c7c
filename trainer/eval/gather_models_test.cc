#include "trainer/eval/gather_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace bitlm::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class GatherModelsTest : public testing::Test {
 protected:
  // Writes a model; `name` is what its own metadata says.
  std::string Write(const std::string& path, const std::string& name,
                    const ModelConfig& config = TinyConfig("bllm", 12, 8, 8)) {
    Model model = RandomModel(config, 1);
    model.metadata.name = name;
    const std::string directory = directory_.Path(path);
    std::filesystem::create_directories(std::filesystem::path(directory).parent_path());
    EXPECT_THAT(WriteModel(model, directory), IsOk());
    return directory;
  }

  static std::vector<std::string> Names(const std::vector<NamedModel>& models) {
    std::vector<std::string> names;
    for (const NamedModel& model : models) names.push_back(model.name);
    return names;
  }

  TemporaryDirectory directory_;
  std::vector<std::string> left_out_;
};

TEST_F(GatherModelsTest, DirectoriesKeepTheModelsNames) {
  const std::string one = Write("x/1", "one");
  const std::string two = Write("y/1", "two");
  const std::string nameless = Write("z/1", "");
  ASSERT_OK_AND_ASSIGN(const auto models,
                       GatherModels(std::vector{two, one, nameless}, {}, &left_out_));
  EXPECT_THAT(Names(models), ElementsAre("two", "one", nameless));
  EXPECT_EQ(models[0].engine->vocabulary().size(), 12);
}

TEST_F(GatherModelsTest, RepositoriesNameTheirsAndEqualNamesGetLonger) {
  const std::string single = Write("single/1", "b");
  Write("repository/a/1", "inside");
  Write("repository/b/1", "inside");
  Write("repository/b/2", "inside");
  ASSERT_OK_AND_ASSIGN(
      const auto models,
      GatherModels(std::vector{single}, std::vector{directory_.Path("repository")}, &left_out_));
  EXPECT_THAT(Names(models), ElementsAre(single, "a", "b/1", "b/2"));
  EXPECT_THAT(left_out_, IsEmpty());
}

TEST_F(GatherModelsTest, WhatCannotBeEvaluatedIsLeftOutOfRepositoriesOnly) {
  ModelConfig classifier = TinyConfig("bllm", 12, 8, 8);
  classifier.head = HeadKind::kClassifier;
  classifier.classes = 3;
  Write("repository/a/1", "a");
  const std::string labels = Write("repository/labels/1", "labels", classifier);
  const std::string future = Write("repository/future/1", "future", UnservableConfig());
  ASSERT_OK_AND_ASSIGN(const auto models,
                       GatherModels({}, std::vector{directory_.Path("repository")}, &left_out_));
  EXPECT_THAT(Names(models), ElementsAre("a"));
  EXPECT_THAT(left_out_,
              ElementsAre(HasSubstr(future), labels + ": a classifier has no perplexity"));
  EXPECT_THAT(GatherModels(std::vector{labels}, {}, &left_out_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(labels)));
}

TEST_F(GatherModelsTest, AbsentAndEmptyPlaces) {
  EXPECT_THAT(GatherModels(std::vector{directory_.Path("absent")}, {}, &left_out_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  EXPECT_THAT(GatherModels({}, std::vector{directory_.Path("absent")}, &left_out_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  EXPECT_THAT(GatherModels({}, std::vector{directory_.path()}, &left_out_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no model in it")));
}

TEST_F(GatherModelsTest, SeesWhetherWordsAreTheSame) {
  ModelConfig normalized = TinyConfig("bllm", 12, 8, 8);
  normalized.normalization = NormalizationKind::kLowercaseNoPunctuation;
  const auto same = [&](const std::string& a, const std::string& b) {
    return SeeSameWords(GatherModels(std::vector{a, b}, {}, &left_out_).value());
  };
  const std::string one = Write("one/1", "one");
  EXPECT_TRUE(same(one, Write("lstm/1", "lstm", TinyConfig("lstm", 12, 8, 8))));
  EXPECT_FALSE(same(one, Write("more/1", "more", TinyConfig("lstm", 13, 8, 8))));
  EXPECT_FALSE(same(one, Write("normalized/1", "normalized", normalized)));
}

}  // namespace
}  // namespace bitlm::trainer
