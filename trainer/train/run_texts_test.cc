#include "trainer/train/run_texts.h"

#include <filesystem>
#include <string>

#include "engine/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trainer/data/corpus.h"

namespace bitlm::trainer {
namespace {

using testing::ElementsAre;

class RunTextsTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/run_texts";
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    Write("/train.txt", "a b\n\nb\n");
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(directory_ + name, text).ok());
  }

  absl::StatusOr<RunTexts> Read(const std::string& valid, const std::string& more = "") {
    Write("/valid_lines.txt", valid);
    const auto recipe = ParseRecipe("name = x\ndata.train = " + directory_ +
                                        "/train.txt\ndata.valid = " + directory_ +
                                        "/valid_lines.txt\nmodel.preset = lstm\n"
                                        "model.hidden_size = 4\n" +
                                        more,
                                    "x", {});
    if (!recipe.ok()) return recipe.status();
    return ReadRunTexts(*recipe, directory_ + "/run");
  }

  std::string directory_;
};

TEST_F(RunTextsTest, AFileOfLinesIsReadWhereItIs) {
  for (const char* text : {"a\nb a\n", "a\nb a"}) {
    const auto texts = Read(text);
    ASSERT_TRUE(texts.ok()) << texts.status();
    EXPECT_EQ(texts->valid_path, directory_ + "/valid_lines.txt");
    EXPECT_THAT(texts->valid, ElementsAre(ElementsAre("a"), ElementsAre("b", "a")));
  }
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/run/valid.txt"));
}

// The perplexity of an export is of the sentences that the run was validated on.
TEST_F(RunTextsTest, WithoutBlankLinesTheValidationTextIsWritten) {
  const auto texts = Read("a\n\n \nb a\n");
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_THAT(texts->train, ElementsAre(ElementsAre("a", "b"), ElementsAre("b")));
  EXPECT_EQ(texts->valid_path, directory_ + "/run/valid.txt");
  EXPECT_EQ(*ReadTextFile(texts->valid_path), "a\nb a\n");
}

TEST_F(RunTextsTest, BlankLinesAreSentences) {
  const auto texts = Read("a\n\nb a\n", "data.blank_lines = true\n");
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_THAT(texts->train, ElementsAre(ElementsAre("a", "b"), ElementsAre(), ElementsAre("b")));
  EXPECT_THAT(texts->valid, ElementsAre(ElementsAre("a"), ElementsAre(), ElementsAre("b", "a")));
  EXPECT_EQ(texts->valid_path, directory_ + "/valid_lines.txt");
  EXPECT_EQ(TokenizeCorpus(texts->valid, *BuildVocabulary(texts->train, 0)).tokens.size(), 6u);
}

}  // namespace
}  // namespace bitlm::trainer
