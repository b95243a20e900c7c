#include "engine/scoring/next_word.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/support/random_model.h"

namespace bitlm {
namespace {

class NextWordTest : public testing::Test {
 protected:
  NextWordTest()
      : model_(*MakeCpuLanguageModel(
            std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 40, 9, 11), 3)))) {}

  TokenizedSentence Words(const std::string& text) const {
    return *Tokenize(model_->model(), text);
  }
  std::vector<TokenScore> Next(const std::string& text, const NextWordOptions& options) const {
    const TokenizedSentence context = Words(text);
    const NextWordItem item{.context = &context, .options = options};
    return NextWords(*model_, {&item, 1}, nullptr, nullptr)[0];
  }

  const std::shared_ptr<const LanguageModel> model_;
};

TEST_F(NextWordTest, GivesTheWholeDistributionInOrder) {
  const std::vector<TokenScore> all = Next("w1 w2", {.top_k = 40, .allow_unknown = true});
  ASSERT_EQ(all.size(), 40u);
  for (size_t i = 1; i < all.size(); ++i) {
    EXPECT_GE(all[i - 1].logprob, all[i].logprob);
    if (all[i - 1].logprob == all[i].logprob) {
      EXPECT_LT(all[i - 1].token, all[i].token);
    }
  }
  // The log-probabilities that sentences are scored with.
  const TokenizedSentence sentence = Words("w1 w2 w7");
  const ScoreItem item{.sentence = &sentence, .options = {}};
  const SentenceScore score = SentenceScorer(model_).Score({&item, 1}, nullptr)[0];
  const TokenId w7 = model_->vocabulary().Find("w7");
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const TokenScore& word) { return word.token == w7; });
  ASSERT_NE(found, all.end());
  EXPECT_EQ(found->logprob, score.token_logprobs[2]);
}

TEST_F(NextWordTest, LeavesOutHiddenWordsWithoutRenormalizing) {
  const TokenId unknown = model_->vocabulary().unknown_id();
  const TokenId end = model_->vocabulary().end_of_sentence_id();
  for (const std::string context : {"", "w1", "w2 w3"}) {
    const std::vector<TokenScore> all = Next(context, {.top_k = 40, .allow_unknown = true});
    for (const bool allow_unknown : {false, true}) {
      for (const bool allow_end : {false, true}) {
        for (const int k : {1, 5, 38, 40}) {
          std::vector<TokenScore> expected;
          for (const TokenScore& word : all) {
            const bool hidden =
                (!allow_unknown && word.token == unknown) || (!allow_end && word.token == end);
            if (!hidden && expected.size() < static_cast<size_t>(k)) expected.push_back(word);
          }
          EXPECT_EQ(Next(context, {.top_k = k,
                                   .allow_unknown = allow_unknown,
                                   .allow_end_of_sentence = allow_end}),
                    expected);
        }
      }
    }
  }
}

TEST_F(NextWordTest, ManyContextsGiveWhatEachGivesAlone) {
  const std::vector<std::string> texts = {"w1 w2", "", "w1", "w1 w2", "zebra", "w1 w2 w3"};
  std::vector<TokenizedSentence> contexts;
  for (const std::string& text : texts) contexts.push_back(Words(text));
  std::vector<NextWordItem> items;
  for (size_t i = 0; i < texts.size(); ++i) {
    items.push_back({.context = &contexts[i], .options = {.top_k = static_cast<int>(2 * i + 1)}});
  }
  ThreadPool pool(2);
  const std::vector<std::vector<TokenScore>> answers = NextWords(*model_, items, nullptr, &pool);
  ASSERT_EQ(answers.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(answers[i], Next(texts[i], items[i].options)) << texts[i];
  }
}

TEST_F(NextWordTest, ChoosesAmongGivenWords) {
  const Vocabulary& vocabulary = model_->vocabulary();
  const TokenizedSentence context = Words("w2 w3");
  const std::vector<TokenScore> all = Next("w2 w3", {.top_k = 40, .allow_unknown = true});
  const std::vector<TokenId> among = {vocabulary.Find("w30"), vocabulary.end_of_sentence_id(),
                                      vocabulary.Find("w4"),  vocabulary.Find("w30"),
                                      vocabulary.Find("w7"),  vocabulary.unknown_id()};
  for (const bool allow_unknown : {false, true}) {
    for (const bool allow_end : {false, true}) {
      for (const int k : {1, 2, 5, 1000000}) {
        const NextWordItem item{.context = &context,
                                .options = {.top_k = k,
                                            .allow_unknown = allow_unknown,
                                            .allow_end_of_sentence = allow_end},
                                .among = among};
        std::vector<TokenScore> expected;
        for (const TokenScore& word : all) {
          if (std::find(among.begin(), among.end(), word.token) == among.end() ||
              (!allow_unknown && word.token == vocabulary.unknown_id()) ||
              (!allow_end && word.token == vocabulary.end_of_sentence_id())) {
            continue;
          }
          if (expected.size() < static_cast<size_t>(k)) expected.push_back(word);
        }
        EXPECT_EQ(NextWords(*model_, {&item, 1}, nullptr, nullptr)[0], expected);
      }
    }
  }
}

TEST_F(NextWordTest, SelfNormalizedWordsAreTheSameByTheirLogits) {
  const std::vector<TokenScore> normalized = Next("w1", {.top_k = 20});
  const std::vector<TokenScore> all = Next("w1", {.top_k = 20, .self_normalized = true});
  const TokenizedSentence context = Words("w1");
  const std::vector<TokenId> among = {normalized[7].token, normalized[2].token};
  const NextWordItem item{
      .context = &context, .options = {.self_normalized = true}, .among = among};
  EXPECT_EQ(NextWords(*model_, {&item, 1}, nullptr, nullptr)[0],
            (std::vector<TokenScore>{all[2], all[7]}));
  const float log_z = all[0].logprob - normalized[0].logprob;
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].token, normalized[i].token);
    EXPECT_NEAR(all[i].logprob - normalized[i].logprob, log_z, 1e-5f);
  }
}

TEST_F(NextWordTest, NothingToChooseFromGivesNothing) {
  const TokenizedSentence context = Words("w1");
  const std::vector<TokenId> unknown = {model_->vocabulary().unknown_id()};
  const NextWordItem items[] = {
      {.context = &context, .options = {}, .among = std::span<const TokenId>()},
      {.context = &context, .options = {}, .among = unknown},
      {.context = &context, .options = {.top_k = 3}}};
  const std::vector<std::vector<TokenScore>> answers = NextWords(*model_, items, nullptr, nullptr);
  EXPECT_TRUE(answers[0].empty());
  EXPECT_TRUE(answers[1].empty());
  EXPECT_EQ(answers[2], Next("w1", {.top_k = 3}));
}

TEST_F(NextWordTest, ManyChoicesGiveWhatEachGivesAlone) {
  // More rows than one execution holds, and items of one context with and without words.
  RandomBits random(8);
  const std::vector<TokenizedSentence> contexts = {Words(""), Words("w1"), Words("w1 w2")};
  std::vector<std::vector<TokenId>> among(1200);
  std::vector<NextWordItem> items;
  for (std::vector<TokenId>& words : among) {
    words.resize(random.Below(9));
    for (TokenId& word : words) word = static_cast<TokenId>(random.Below(40));
    NextWordItem& item = items.emplace_back();
    item.context = &contexts[random.Below(3)];
    item.options.top_k = 1 + static_cast<int>(random.Below(10));
    item.options.self_normalized = random.Below(2) == 0;
    if (!words.empty()) item.among = words;
  }
  ThreadPool pool(2);
  const std::vector<std::vector<TokenScore>> answers = NextWords(*model_, items, nullptr, &pool);
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(answers[i], NextWords(*model_, {&items[i], 1}, nullptr, nullptr)[0]) << i;
  }
}

}  // namespace
}  // namespace bitlm
