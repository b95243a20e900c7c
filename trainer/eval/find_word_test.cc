#include "trainer/eval/find_word.h"

#include <gtest/gtest.h>

#include "tests/support/random_model.h"

namespace bitlm::trainer {
namespace {

Model WithWords(std::vector<std::string> words) {
  words.push_back("<unk>");
  words.push_back("</s>");
  Model model = RandomModel(TinyConfig("lstm", static_cast<int>(words.size()), 4, 4), 1);
  model.vocabulary = Vocabulary::FromWords(std::move(words)).value();
  return model;
}

TEST(FindWordTest, AsWrittenFirstThenInLowerCase) {
  const Model model = WithWords({"may", "May", "israel", "école", "U.S."});
  EXPECT_EQ(FindWord(model, "may", false), 0);
  EXPECT_EQ(FindWord(model, "May", false), 1);
  EXPECT_EQ(FindWord(model, "MAY", false), 0);
  EXPECT_EQ(FindWord(model, "Israel", false), 2);
  EXPECT_EQ(FindWord(model, "École", false), 3);
  EXPECT_EQ(FindWord(model, "u.s.", false), std::nullopt);
}

TEST(FindWordTest, ExactMeansAsWritten) {
  const Model model = WithWords({"may", "israel"});
  EXPECT_EQ(FindWord(model, "Israel", true), std::nullopt);
  EXPECT_EQ(FindWord(model, "israel", true), 1);
}

TEST(FindWordTest, TheModelsOwnNormalizationCounts) {
  Model model = WithWords({"us", "don't"});
  EXPECT_EQ(FindWord(model, "U.S.", false), std::nullopt);
  model.config.normalization = NormalizationKind::kLowercaseNoPunctuation;
  EXPECT_EQ(FindWord(model, "U.S.", false), 0);
  EXPECT_EQ(FindWord(model, "Don\u2019t", false), 1);
  EXPECT_EQ(FindWord(model, "us-us", false), std::nullopt) << "two words";
  EXPECT_EQ(FindWord(model, "...", false), std::nullopt) << "no word";
}

TEST(FindWordTest, WhatIsMissingIsNotTheUnknownWord) {
  const Model model = WithWords({"a"});
  EXPECT_EQ(FindWord(model, "zebra", false), std::nullopt);
  EXPECT_EQ(FindWord(model, "", false), std::nullopt);
  EXPECT_EQ(FindWord(model, "Z\xff", false), std::nullopt) << "not UTF-8";
}

}  // namespace
}  // namespace bitlm::trainer
