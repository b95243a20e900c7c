// The models that the repository ships: they load, are small enough, and are as good as their cards
// say.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/base/file.h"
#include "engine/scoring/model_loading.h"
#include "engine/scoring/perplexity.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

const std::string kEnglish = BITLM_SOURCE_DIR "/models/english/1";

TEST(BundledModelTest, EnglishLoadsWithItsGoldenScoresAndFitsItsSize) {
  ASSERT_OK_AND_ASSIGN(const auto model, LoadLanguageModel(kEnglish));
  EXPECT_EQ(model->config().preset, "bllm");
  EXPECT_EQ(model->vocabulary().size(), 20000);
  EXPECT_GE(model->model().golden.size(), 3u);
  uintmax_t bytes = 0;
  for (const char* file : {"/config.json", "/vocab.txt", "/model.safetensors"}) {
    bytes += std::filesystem::file_size(kEnglish + file);
  }
  EXPECT_LE(bytes, 3'500'000u);
  EXPECT_TRUE(std::filesystem::exists(kEnglish + "/README.md"));
}

TEST(BundledModelTest, EnglishHasTheValidationPerplexityThatItsConfigStates) {
  const char* data = std::getenv("BITLM_DATA");
  if (data == nullptr) GTEST_SKIP() << "BITLM_DATA is not set";
  const auto text = ReadTextFile(std::string(data) + "/gutenberg/valid.txt");
  if (!text.ok()) GTEST_SKIP() << text.status();
  ASSERT_OK_AND_ASSIGN(const auto model, LoadLanguageModel(kEnglish));
  ThreadPool pool(2);
  ASSERT_OK_AND_ASSIGN(const PerplexityResult result,
                       EvaluateText(*model, *text, ContextKind::kSentence, &pool));
  EXPECT_EQ(result.perplexity, model->model().metadata.valid_perplexity);
  EXPECT_EQ(result.tokens, 147421);
  EXPECT_LE(result.perplexity, 205.0);
}

}  // namespace
}  // namespace bitlm
