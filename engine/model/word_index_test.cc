#include "engine/model/word_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

std::vector<std::string> Find(const Vocabulary& vocabulary, const std::string& prefix) {
  std::vector<std::string> words;
  const WordIndex index(vocabulary);
  for (const TokenId id : index.StartingWith(prefix)) {
    words.emplace_back(vocabulary.Word(id));
  }
  return words;
}

TEST(WordIndexTest, FindsTheWordsThatStartWithAPrefix) {
  ASSERT_OK_AND_ASSIGN(
      const Vocabulary vocabulary,
      Vocabulary::FromWords({"the", "<unk>", "that", "a", "th", "</s>", "t", "they", "tin"}));
  EXPECT_THAT(Find(vocabulary, "th"), ElementsAre("th", "that", "the", "they"));
  EXPECT_THAT(Find(vocabulary, "the"), ElementsAre("the", "they"));
  EXPECT_THAT(Find(vocabulary, "they"), ElementsAre("they"));
  EXPECT_THAT(Find(vocabulary, "theyy"), IsEmpty());
  EXPECT_THAT(Find(vocabulary, "b"), IsEmpty());
  EXPECT_THAT(Find(vocabulary, "z"), IsEmpty());
  EXPECT_THAT(Find(vocabulary, "a"), ElementsAre("a"));
  EXPECT_THAT(Find(vocabulary, ""), ElementsAre("a", "t", "th", "that", "the", "they", "tin"));
}

TEST(WordIndexTest, SpecialWordsAreNoCompletions) {
  ASSERT_OK_AND_ASSIGN(const Vocabulary vocabulary,
                       Vocabulary::FromWords({"<b>", "<unk>", "</s>", "</b>"}));
  EXPECT_THAT(Find(vocabulary, "<"), ElementsAre("</b>", "<b>"));
  EXPECT_THAT(Find(vocabulary, "<unk>"), IsEmpty());
  EXPECT_THAT(Find(vocabulary, "</s"), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const Vocabulary smallest, Vocabulary::FromWords({"<unk>", "</s>"}));
  EXPECT_THAT(Find(smallest, ""), IsEmpty());
}

TEST(WordIndexTest, PrefixesAreWholeCodePoints) {
  // é and è share their first byte, and both come after z.
  ASSERT_OK_AND_ASSIGN(
      const Vocabulary vocabulary,
      Vocabulary::FromWords({"<unk>", "</s>", "étage", "è", "zebra", "été", "日本", "日"}));
  EXPECT_THAT(Find(vocabulary, "é"), ElementsAre("étage", "été"));
  EXPECT_THAT(Find(vocabulary, "ét"), ElementsAre("étage", "été"));
  EXPECT_THAT(Find(vocabulary, "è"), ElementsAre("è"));
  EXPECT_THAT(Find(vocabulary, "日"), ElementsAre("日", "日本"));
}

TEST(WordIndexTest, AgreesWithASearchThroughAllWords) {
  std::vector<std::string> words = {"<unk>", "</s>"};
  for (const std::string first : {"a", "b", "ab", "é", "\x7f"}) {
    for (int i = 0; i < 40; ++i) words.push_back(first + std::to_string(i * i));
  }
  ASSERT_OK_AND_ASSIGN(const Vocabulary vocabulary, Vocabulary::FromWords(words));
  for (const std::string prefix : {"a", "a1", "ab", "b10", "é2", "\x7f",
                                   "\x7f"
                                   "4",
                                   "é", "1"}) {
    std::vector<std::string> expected;
    for (const std::string& word : words) {
      if (word.starts_with(prefix)) expected.push_back(word);
    }
    EXPECT_THAT(Find(vocabulary, prefix), UnorderedElementsAreArray(expected)) << prefix;
  }
}

}  // namespace
}  // namespace bitlm
