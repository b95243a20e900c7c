#include "engine/model/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using testing::HasSubstr;

TEST(VocabularyTest, IdsAreLines) {
  ASSERT_OK_AND_ASSIGN(const Vocabulary vocabulary,
                       Vocabulary::Parse("the\n<unk>\ncafé\n</s>\n", "vocab.txt"));
  EXPECT_EQ(vocabulary.size(), 4);
  EXPECT_EQ(vocabulary.Find("the"), 0);
  EXPECT_EQ(vocabulary.Find("café"), 2);
  EXPECT_EQ(vocabulary.Find("missing"), 1);
  EXPECT_EQ(vocabulary.Find(""), 1);
  EXPECT_EQ(vocabulary.unknown_id(), 1);
  EXPECT_EQ(vocabulary.end_of_sentence_id(), 3);
  EXPECT_TRUE(vocabulary.Contains("<unk>"));
  EXPECT_FALSE(vocabulary.Contains("missing"));
  EXPECT_EQ(vocabulary.Word(2), "café");
  EXPECT_EQ(vocabulary.Serialize(), "the\n<unk>\ncafé\n</s>\n");
  EXPECT_GT(vocabulary.MemoryBytes(), 4 * sizeof(std::string));
}

TEST(VocabularyTest, CopiesShareTheWords) {
  ASSERT_OK_AND_ASSIGN(const Vocabulary vocabulary, Vocabulary::FromWords({"<unk>", "</s>", "a"}));
  const Vocabulary copy = vocabulary;
  EXPECT_EQ(copy.Word(2).data(), vocabulary.Word(2).data());
  EXPECT_EQ(copy.Find("a"), 2);
}

TEST(VocabularyTest, FaultNamesSourceAndLine) {
  const std::string long_word(1025, 'x');
  const std::pair<std::string, const char*> cases[] = {
      {"", "line 1: end of file, the word \"<unk>\" is missing"},
      {"a\n</s>\n", "line 3: end of file, the word \"<unk>\" is missing"},
      {"a\n<unk>\n", "line 3: end of file, the word \"</s>\" is missing"},
      {"<unk>\n</s>\na", "line 3: no newline at the end"},
      {"<unk>\n\n</s>\n", "line 2: empty word"},
      {"<unk>\na\nb\na\n</s>\n", "line 4: repeats the word of line 2"},
      {"<unk>\na b\n</s>\n", "line 2: white space inside a word"},
      {"<unk>\na\r\n</s>\n", "line 2: white space inside a word"},
      {std::string("<unk>\na\0\n</s>\n", 14), "line 2: NUL inside a word"},
      {"<unk>\n\xC3\n</s>\n", "line 2: not valid UTF-8"},
      {"<s>\n<unk>\n</s>\n", "line 1: \"<s>\" is not a word"},
      {"<unk>\n</s>\n" + long_word + "\n", "line 3: word longer than 1024 bytes"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_THAT(
        Vocabulary::Parse(text, "dir/vocab.txt"),
        StatusIs(absl::StatusCode::kDataLoss, HasSubstr("dir/vocab.txt: " + std::string(message))));
  }
}

TEST(VocabularyTest, LongestWordIsAccepted) {
  EXPECT_THAT(Vocabulary::FromWords({"<unk>", "</s>", std::string(1024, 'x')}), IsOk());
}

TEST(VocabularyTest, FromWordsRefusesWithInvalidArgument) {
  EXPECT_THAT(Vocabulary::FromWords({"<unk>", "</s>", "a", "a"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 4: repeats")));
  EXPECT_THAT(Vocabulary::FromWords({}), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace bitlm
