#include "engine/scoring/model_loading.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/scoring/golden.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace bitlm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A model with golden sentences, as the trainer writes them.
Model ModelWithGoldens() {
  Model model = RandomModel(TinyConfig("bllm", 40, 9, 11), 3);
  const auto engine = *MakeCpuLanguageModel(
      std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 40, 9, 11), 3)));
  const std::vector<std::string> texts = {"w1 w2 zebra", "", "w9"};
  model.golden = *ComputeGoldenSentences(*engine, texts);
  return model;
}

TEST(ModelLoadingTest, LoadsWhatWasWritten) {
  const TemporaryDirectory directory;
  const Model model = ModelWithGoldens();
  ASSERT_EQ(model.golden.size(), 3u);
  ASSERT_THAT(WriteModel(model, directory.Path("m")), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto loaded, LoadLanguageModel(directory.Path("m")));
  EXPECT_EQ(loaded->config(), model.config);
  EXPECT_EQ(loaded->model().golden.size(), 3u);
  EXPECT_THAT(CheckGoldenSentences(*loaded), IsOk());
}

TEST(ModelLoadingTest, OneBitOfAGoldenScoreMatters) {
  const TemporaryDirectory directory;
  Model model = ModelWithGoldens();
  model.golden[1].logprob = std::nextafter(model.golden[1].logprob, 0.0);
  ASSERT_THAT(WriteModel(model, directory.Path("m")), IsOk());
  EXPECT_THAT(LoadLanguageModel(directory.Path("m")),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(directory.Path("m")), HasSubstr("golden sentence 2"))));
}

TEST(ModelLoadingTest, ErrorsNameTheDirectory) {
  const TemporaryDirectory directory;
  EXPECT_THAT(LoadLanguageModel(directory.Path("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(directory.Path("none"))));
  const Model model = RandomModel(UnservableConfig(), 3);
  ASSERT_THAT(WriteModel(model, directory.Path("x")), IsOk());
  EXPECT_THAT(LoadLanguageModel(directory.Path("x")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(directory.Path("x"))));
}

TEST(GoldenTest, RefusesAnotherVersionOfTheNumerics) {
  Model model = RandomModel(TinyConfig("bllm", 40, 9, 11), 3);
  model.metadata.numerics_version = kNumericsVersion + 1;
  const auto engine = *MakeCpuLanguageModel(std::make_shared<const Model>(std::move(model)));
  EXPECT_THAT(CheckGoldenSentences(*engine),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("numerics_version")));
}

TEST(GoldenTest, ErrorsNameTheSentence) {
  const auto engine = *MakeCpuLanguageModel(
      std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 40, 9, 11), 3)));
  const std::vector<std::string> texts = {"w1", "w2 </s>"};
  EXPECT_THAT(ComputeGoldenSentences(*engine, texts),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("golden sentence 2: word 2")));
}

}  // namespace
}  // namespace bitlm
