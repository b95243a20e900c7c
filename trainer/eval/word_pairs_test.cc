#include "trainer/eval/word_pairs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace bitlm::trainer {
namespace {

TEST(WordPairsTest, TabsBlanksEmptyLinesAndCarriageReturns) {
  ASSERT_OK_AND_ASSIGN(
      const auto pairs,
      ParseWordPairs("tiger\tcat\t7.35\n\n  Jerusalem  Israel 8\r\na b -1e1", "f"));
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(pairs[0].first, "tiger");
  EXPECT_EQ(pairs[0].second, "cat");
  EXPECT_EQ(pairs[0].score, 7.35);
  EXPECT_EQ(pairs[1].first, "Jerusalem");
  EXPECT_EQ(pairs[1].score, 8);
  EXPECT_EQ(pairs[2].score, -10);
}

// As the sets are published: WS-353's combined.csv, SimLex-999.txt, the RG-65 table, MEN.
TEST(WordPairsTest, PublishedFormats) {
  for (const std::string text : {"Word 1,Word 2,Human (mean)\nold,new,6.5\n",
                                 "word1\tword2\tPOS\tSimLex999\tconc(w1)\nold\tnew\tA\t6.5\t2.72\n",
                                 "old;new;6.5\n", "old new 6.500000\n"}) {
    ASSERT_OK_AND_ASSIGN(const auto pairs, ParseWordPairs(text, "f"));
    ASSERT_EQ(pairs.size(), 1u) << text;
    EXPECT_EQ(pairs[0].first, "old");
    EXPECT_EQ(pairs[0].second, "new");
    EXPECT_EQ(pairs[0].score, 6.5);
  }
}

TEST(WordPairsTest, MistakesNameFileAndLine) {
  const auto expect = [](const std::string& text, const std::string& message) {
    EXPECT_THAT(ParseWordPairs(text, "ws.txt"),
                StatusIs(absl::StatusCode::kInvalidArgument, message));
  };
  expect("a b 1\n\na b\n", "ws.txt: line 3: 2 fields; expected word1 word2 score");
  expect("a\n", "ws.txt: line 1: 1 field; expected word1 word2 score");
  expect("a b 1\nc d high\n",
         "ws.txt: line 2: \"high\" is not a number; expected word1 word2 score");
  expect("a b nan\n",
         "ws.txt: line 1: the score is not a finite number; expected word1 word2 score");
  expect("a b 1\nc d inf\n",
         "ws.txt: line 2: the score is not a finite number; expected word1 word2 score");
  expect("word1 word2 similarity\n", "ws.txt: no word pairs");
  expect("", "ws.txt: no word pairs");
  expect("\n \n", "ws.txt: no word pairs");
}

}  // namespace
}  // namespace bitlm::trainer
