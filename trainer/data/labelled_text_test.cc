#include "trainer/data/labelled_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/base/file.h"

namespace bitlm::trainer {
namespace {

using testing::HasSubstr;

class LabelledTextTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/labelled_text_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  absl::StatusOr<std::vector<LabelledSentence>> Read(const std::string& text,
                                                     LabelledTextOptions options = {.classes = 5}) {
    EXPECT_TRUE(WriteFileAtomically(path_, text).ok());
    return ReadLabelledText({path_}, options);
  }
  // "3 It shines", with "*" before what is not a whole sentence.
  std::vector<std::string> Lines(const std::string& text, LabelledTextOptions options) {
    const auto sentences = Read(text, options);
    EXPECT_TRUE(sentences.ok()) << sentences.status();
    std::vector<std::string> lines;
    for (const LabelledSentence& s : *sentences) {
      lines.push_back((s.whole ? "" : "*") + std::to_string(s.label) + " " + s.text);
    }
    return lines;
  }
  std::string path_;
};

constexpr char kTree[] = "(3 (2 It) (4 (2 (2 really) (2 it)) (4 shines)))\n";

TEST_F(LabelledTextTest, TakesWholeSentencesOrEveryPhrase) {
  const std::string text = std::string(kTree) + "\n(1 (2 It) (2 (2 It) (1 stinks)))\n";
  EXPECT_THAT(Lines(text, {.classes = 5}),
              testing::ElementsAre("3 It really it shines", "1 It It stinks"));
  EXPECT_THAT(
      Lines(text, {.classes = 5, .phrases = PhraseKind::kAll}),
      testing::ElementsAre("3 It really it shines", "*2 It", "*2 really", "*2 it", "*2 really it",
                           "*4 shines", "*4 really it shines", "1 It It stinks", "*2 It", "*2 It",
                           "*1 stinks", "*2 It stinks"));
  EXPECT_THAT(Lines(text, {.classes = 5, .phrases = PhraseKind::kDistinct}),
              testing::ElementsAre("3 It really it shines", "*2 It", "*2 really", "*2 it",
                                   "*2 really it", "*4 shines", "*4 really it shines",
                                   "1 It It stinks", "*1 stinks", "*2 It stinks"));
}

// Another label of the same words is another phrase, and whole sentences are never left out.
TEST_F(LabelledTextTest, DistinctPhrasesAreDistinctByWordsAndLabel) {
  EXPECT_THAT(Lines("(2 (2 so) (1 so))\n(2 so)\n(2 so)\n",
                    {.classes = 5, .phrases = PhraseKind::kDistinct}),
              testing::ElementsAre("2 so so", "*2 so", "*1 so", "2 so", "2 so"));
}

TEST_F(LabelledTextTest, ReadsLabelAndSentence) {
  EXPECT_THAT(Lines("1\tnot  good (at all)\r\n0 bad\n2\n", {.classes = 3}),
              testing::ElementsAre("1 not good (at all)", "0 bad", "2 "));
}

TEST_F(LabelledTextTest, UnescapesAndNormalizesAsTheEngine) {
  const auto sentences = Read("(2 (2 -LRB-) (2 (2 His\\/Her) (2 (2 5\\*) (2 -RRB-))))\n",
                              {.classes = 5,
                               .normalization = NormalizationKind::kLowercaseNoPunctuation,
                               .phrases = PhraseKind::kAll});
  ASSERT_TRUE(sentences.ok()) << sentences.status();
  EXPECT_EQ((*sentences)[0].text, "( His/Her 5* )");
  EXPECT_THAT((*sentences)[0].words, testing::ElementsAre("his", "her", "5"));
  // A bracket alone is no word.
  for (const LabelledSentence& sentence : *sentences) EXPECT_FALSE(sentence.words.empty());
  EXPECT_EQ(sentences->size(), 5u);
}

TEST_F(LabelledTextTest, NamesLineAndPlaceOfAMistake) {
  for (const auto& [line, fragment] : std::vector<std::pair<std::string, std::string>>{
           {"(5 word)", "byte 2: expected a label in [0, 4]"},
           {"(x word)", "byte 2: expected a label in [0, 4]"},
           {"-1 word", "byte 1: expected a label in [0, 4]"},
           {"word", "byte 1: expected a label in [0, 4]"},
           {"(3 (2 It) (2 is)", "byte 17: expected \")\""},
           {"(3 (2 It) (2))", "byte 13: expected a word"},
           {"(3 ())", "byte 5: expected a label"},
           {"(3 It) is", "byte 8: expected the end of the line"},
           {"(3 It))", "byte 7: expected the end of the line"},
           {"(3 (2 <s>) (2 It))", "the reserved word <s>"},
           {"2 \xff", "UTF-8"}}) {
    const auto read = Read("(3 fine)\n" + line + "\n");
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << line;
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(path_ + ": line 2: "));
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(fragment));
  }
}

// As deep as a line allows: the reader keeps a stack of its own.
TEST_F(LabelledTextTest, ReadsDeepTrees) {
  std::string tree;
  for (int i = 0; i < 200000; ++i) tree += "(1 ";
  tree += "word" + std::string(200000, ')');
  const auto read = Read(tree, {.classes = 2});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->at(0).text, "word");
}

}  // namespace
}  // namespace bitlm::trainer
