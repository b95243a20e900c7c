// Models that earlier versions wrote: read, scored to the same bits, and written back to the byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/base/file.h"
#include "engine/model/config_json.h"
#include "engine/model/model.h"
#include "engine/scoring/model_loading.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace bitlm {
namespace {

const char kModels[] = BITLM_SOURCE_DIR "/tests/golden/format_1";

class GoldenModelTest : public testing::TestWithParam<const char*> {
 protected:
  std::string directory() const { return std::string(kModels) + "/" + GetParam(); }
};

TEST_P(GoldenModelTest, GivesTheScoresThatItWasWrittenWith) {
  EXPECT_THAT(LoadLanguageModel(directory()), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto model, ReadModel(directory()));
  EXPECT_EQ(model->golden.size(), 4u);
}

TEST_P(GoldenModelTest, IsWrittenBackToTheByte) {
  ASSERT_OK_AND_ASSIGN(const auto model, ReadModel(directory()));
  TemporaryDirectory temporary;
  ASSERT_THAT(WriteModel(*model, temporary.Path("copy")), IsOk());
  for (const char* file : {kConfigFile, kVocabularyFile, kTensorsFile}) {
    ASSERT_OK_AND_ASSIGN(const std::string golden, ReadFile(directory() + "/" + file));
    ASSERT_OK_AND_ASSIGN(const std::string written,
                         ReadFile(temporary.Path("copy/" + std::string(file))));
    EXPECT_EQ(written, golden) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(Format1, GoldenModelTest,
                         testing::Values("lstm", "belm", "bllm", "bllm-no-io", "planes", "options"),
                         [](const auto& model) {
                           std::string name = model.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(GoldenModelsTest, EveryDirectoryIsTested) {
  int directories = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    directories += entry.is_directory();
  }
  EXPECT_EQ(directories, 6);
}

}  // namespace
}  // namespace bitlm
