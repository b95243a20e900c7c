#include "trainer/data/line_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitlm::trainer {
namespace {

using testing::ElementsAre;
using Sentences = std::vector<std::vector<std::string>>;

TEST(LineFormatTest, TakesOneFieldOfALine) {
  const std::string_view line = "A|I don't have any children,|sd";
  EXPECT_EQ(*SentenceOf(line, {}), line);
  EXPECT_EQ(*SentenceOf(line, {.column = 1}), "A");
  EXPECT_EQ(*SentenceOf(line, {.column = 2}), "I don't have any children,");
  EXPECT_EQ(*SentenceOf(line, {.column = 3}), "sd");
  EXPECT_EQ(*SentenceOf("A||", {.column = 2}), "");
  EXPECT_EQ(*SentenceOf(" ", {.column = 2}), " ");
  const auto missing = SentenceOf(line, {.column = 4});
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(missing.status().message(), "3 fields, expected at least 4");
}

TEST(LineFormatTest, CutsLongSentences) {
  Sentences sentences;
  AddSentence({}, {.longest = 2}, &sentences);
  AddSentence({"a", "b", "c", "d", "e"}, {.longest = 2}, &sentences);
  AddSentence({"f", "g"}, {.longest = 2}, &sentences);
  AddSentence({"h", "i", "j"}, {}, &sentences);
  EXPECT_THAT(sentences, ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d"), ElementsAre("e"),
                                     ElementsAre("f", "g"), ElementsAre("h", "i", "j")));
}

TEST(LineFormatTest, BlankLinesAreSentencesIfWanted) {
  Sentences sentences;
  AddSentence({}, {.longest = 2, .blank_lines = true}, &sentences);
  AddSentence({"a"}, {.blank_lines = true}, &sentences);
  EXPECT_THAT(sentences, ElementsAre(ElementsAre(), ElementsAre("a")));
}

TEST(LineFormatTest, HoldsOutSentences) {
  const Sentences all{{"1"}, {"2"}, {"3"}, {"4"}, {"5"}};
  Sentences kept = all;
  EXPECT_THAT(HoldOut(2, /*at_end=*/false, &kept), ElementsAre(all[1], all[3]));
  EXPECT_THAT(kept, ElementsAre(all[0], all[2], all[4]));
  kept = all;
  EXPECT_THAT(HoldOut(3, /*at_end=*/true, &kept), ElementsAre(all[3], all[4]));
  EXPECT_THAT(kept, ElementsAre(all[0], all[1], all[2]));
}

}  // namespace
}  // namespace bitlm::trainer
