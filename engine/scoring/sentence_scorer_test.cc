#include "engine/scoring/sentence_scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const LanguageModel> TestModel() {
  return *MakeCpuLanguageModel(
      std::make_shared<const Model>(RandomModel(TinyConfig("bllm", 40, 9, 11), 3)));
}

// The log-probability of each target after the inputs before it, one step and one row at a time.
std::vector<float> ScoreByHand(const LanguageModel& model, const std::vector<TokenId>& inputs,
                               const std::vector<TokenId>& targets) {
  std::vector<float> state(model.state_size(), 0.0f);
  std::vector<float> logprobs;
  for (size_t i = 0; i < targets.size(); ++i) {
    const float* from = state.data();
    float* to = state.data();
    model.Advance({&inputs[i], 1}, {&from, 1}, {&to, 1}, nullptr);
    OutputRow row;
    row.state = state.data();
    row.targets = {&targets[i], 1};
    row.logprobs = &logprobs.emplace_back();
    model.Output({&row, 1}, nullptr);
  }
  return logprobs;
}

class SentenceScorerTest : public testing::Test {
 protected:
  SentenceScorerTest() : scorer_(TestModel()), end_(vocabulary().end_of_sentence_id()) {}

  const LanguageModel& model() const { return scorer_.language_model(); }
  const Vocabulary& vocabulary() const { return model().vocabulary(); }
  TokenizedSentence Words(const std::string& text) const {
    return *Tokenize(model().model(), text);
  }

  SentenceScore Score(const std::string& text, const ScoreOptions& options = {}) const {
    const TokenizedSentence sentence = Words(text);
    const ScoreItem item{.sentence = &sentence, .options = options};
    return scorer_.Score({&item, 1}, nullptr)[0];
  }

  const SentenceScorer scorer_;
  const TokenId end_;
};

TEST_F(SentenceScorerTest, AddsTheLogprobsOfTheChainRule) {
  const std::vector<TokenId> tokens = Words("w3 w1 w4 w1").tokens;
  std::vector<TokenId> inputs = {end_};
  inputs.insert(inputs.end(), tokens.begin(), tokens.end());
  std::vector<TokenId> targets = tokens;
  targets.push_back(end_);
  const std::vector<float> expected = ScoreByHand(model(), inputs, targets);

  const SentenceScore score = Score("w3 w1 w4 w1");
  EXPECT_EQ(score.token_logprobs, expected);
  double sum = 0;
  for (const float logprob : expected) sum += logprob;
  EXPECT_EQ(score.logprob, sum);
  EXPECT_EQ(score.oov_count, 0);
  EXPECT_EQ(score.oov_logprob, 0);
  EXPECT_TRUE(score.token_ranks.empty());
}

TEST_F(SentenceScorerTest, EmptySentenceScoresItsEnd) {
  const SentenceScore score = Score("  ");
  EXPECT_EQ(score.token_logprobs, ScoreByHand(model(), {end_}, {end_}));
}

TEST_F(SentenceScorerTest, WithoutEndTheLastWordIsOnlyScored) {
  const SentenceScore whole = Score("w1 w2");
  const SentenceScore open = Score("w1 w2", {.end_of_sentence = false});
  EXPECT_THAT(open.token_logprobs, ElementsAre(whole.token_logprobs[0], whole.token_logprobs[1]));
  EXPECT_TRUE(Score("", {.end_of_sentence = false}).token_logprobs.empty());
}

TEST_F(SentenceScorerTest, WithoutBeginningTheFirstWordIsOnlyContext) {
  const std::vector<TokenId> tokens = Words("w5 w6 w7").tokens;
  const SentenceScore score = Score("w5 w6 w7", {.begin_of_sentence = false});
  EXPECT_EQ(score.token_logprobs, ScoreByHand(model(), tokens, {tokens[1], tokens[2], end_}));
  EXPECT_TRUE(Score("", {.begin_of_sentence = false}).token_logprobs.empty());
  EXPECT_EQ(Score("w5", {.begin_of_sentence = false}).token_logprobs.size(), 1u);
  EXPECT_TRUE(
      Score("w5", {.begin_of_sentence = false, .end_of_sentence = false}).token_logprobs.empty());
}

TEST_F(SentenceScorerTest, OovPolicies) {
  const SentenceScore unknown = Score("w1 zebra w2 <unk>");
  EXPECT_EQ(unknown.oov_count, 2);
  EXPECT_EQ(unknown.oov_logprob,
            double{unknown.token_logprobs[1]} + double{unknown.token_logprobs[3]});
  const std::vector<float>& model_logprobs = unknown.token_logprobs;

  const SentenceScore fixed =
      Score("w1 zebra w2 <unk>", {.oov_policy = OovPolicy::kFixed, .oov_logprob = -8.25});
  EXPECT_THAT(fixed.token_logprobs,
              ElementsAre(model_logprobs[0], -8.25f, model_logprobs[2], -8.25f, model_logprobs[4]));
  EXPECT_EQ(fixed.oov_logprob, -16.5);

  const SentenceScore offset =
      Score("w1 zebra w2 <unk>", {.oov_policy = OovPolicy::kOffset, .oov_logprob = -2});
  EXPECT_EQ(offset.token_logprobs[0], model_logprobs[0]);
  EXPECT_EQ(offset.token_logprobs[1], model_logprobs[1] - 2.0f);

  // The first word is context and not scored, so it is not counted either.
  EXPECT_EQ(Score("zebra w1", {.begin_of_sentence = false}).oov_count, 0);
}

TEST_F(SentenceScorerTest, RanksAreThoseOfTheDistribution) {
  const SentenceScore score =
      Score("w3 zebra", {.oov_policy = OovPolicy::kFixed, .oov_logprob = -1, .want_ranks = true});
  ASSERT_EQ(score.token_ranks.size(), 3u);
  // All words after the beginning, most probable first.
  std::vector<float> state(model().state_size());
  const float* from = nullptr;
  float* to = state.data();
  model().Advance({&end_, 1}, {&from, 1}, {&to, 1}, nullptr);
  std::vector<TokenScore> top(40);
  OutputRow row;
  row.state = state.data();
  row.top_k = 40;
  row.top = top.data();
  model().Output({&row, 1}, nullptr);
  EXPECT_EQ(top[static_cast<size_t>(score.token_ranks[0] - 1)].token, vocabulary().Find("w3"));
  EXPECT_EQ(score.token_logprobs[1], -1.0f);  // The rank is still the model's.
  EXPECT_GE(score.token_ranks[1], 1);
}

TEST_F(SentenceScorerTest, SharesPrefixesAndCountsWork) {
  const std::vector<std::string> texts = {"w1 w2 w3", "w1 w2 w4", "w1 w2", "w5", "w1 w2 w3"};
  std::vector<TokenizedSentence> sentences;
  for (const std::string& text : texts) sentences.push_back(Words(text));
  std::vector<ScoreItem> items;
  for (const TokenizedSentence& sentence : sentences) {
    items.push_back({.sentence = &sentence, .options = {}});
  }
  ScoreStatistics statistics;
  const std::vector<SentenceScore> scores = scorer_.Score(items, nullptr, &statistics);
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(scores[i].token_logprobs, Score(texts[i]).token_logprobs) << texts[i];
    EXPECT_EQ(scores[i].logprob, Score(texts[i]).logprob);
  }
  // Prefixes: "", w1, w1 w2, w1 w2 w3, w1 w2 w4, w5. Each has a step and, as </s> or a word
  // follows, an output row.
  EXPECT_EQ(statistics.steps, 6);
  EXPECT_EQ(statistics.output_rows, 6);
  EXPECT_EQ(statistics.tokens, 4 + 4 + 3 + 2 + 4);
}

TEST_F(SentenceScorerTest, SkipsStepsAndRowsThatNobodyNeeds) {
  // Without an end the last word is not read; a fixed OOV needs no output.
  const TokenizedSentence sentence = Words("w1 zebra w2");
  const ScoreItem item{
      .sentence = &sentence,
      .options = {.end_of_sentence = false, .oov_policy = OovPolicy::kFixed, .oov_logprob = -1}};
  ScoreStatistics statistics;
  scorer_.Score({&item, 1}, nullptr, &statistics);
  EXPECT_EQ(statistics.steps, 3);
  EXPECT_EQ(statistics.output_rows, 2);
  EXPECT_EQ(statistics.tokens, 3);
}

TEST_F(SentenceScorerTest, MixesOptionsInOneCall) {
  const TokenizedSentence sentence = Words("w1 zebra w2");
  const std::vector<ScoreOptions> options = {
      {},
      {.want_ranks = true},
      {.begin_of_sentence = false},
      {.end_of_sentence = false},
      {.self_normalized = true},
      {.want_ranks = true, .self_normalized = true},
      {.oov_policy = OovPolicy::kFixed, .oov_logprob = -3, .want_ranks = true}};
  std::vector<ScoreItem> items;
  for (const ScoreOptions& o : options) items.push_back({.sentence = &sentence, .options = o});
  const std::vector<SentenceScore> scores = scorer_.Score(items, nullptr);
  for (size_t i = 0; i < options.size(); ++i) {
    const SentenceScore alone = Score("w1 zebra w2", options[i]);
    EXPECT_EQ(scores[i].token_logprobs, alone.token_logprobs) << i;
    EXPECT_EQ(scores[i].token_ranks, alone.token_ranks) << i;
  }
}

TEST_F(SentenceScorerTest, SelfNormalizedScoresAreLogits) {
  const std::vector<float> logits = Score("w1 zebra w2", {.self_normalized = true}).token_logprobs;
  const std::vector<float> normalized = Score("w1 zebra w2").token_logprobs;
  // The difference is log Z, whatever the word.
  const float log_z = logits[0] - normalized[0];
  for (const std::string other : {"", "w9", "w30"}) {
    const float other_log_z =
        Score(other, {.self_normalized = true}).token_logprobs[0] - Score(other).token_logprobs[0];
    EXPECT_NEAR(other_log_z, log_z, 1e-5f) << other;
  }
  EXPECT_GT(std::abs(log_z), 1.0f);  // This model has not been trained for it.
  // Policies apply as ever, ranks are the same.
  const SentenceScore offset = Score("w1 zebra w2", {.oov_policy = OovPolicy::kOffset,
                                                     .oov_logprob = -2,
                                                     .want_ranks = true,
                                                     .self_normalized = true});
  EXPECT_EQ(offset.token_logprobs[0], logits[0]);
  EXPECT_EQ(offset.token_logprobs[1], logits[1] - 2.0f);
  EXPECT_EQ(offset.token_ranks, Score("w1 zebra w2", {.want_ranks = true}).token_ranks);
}

TEST_F(SentenceScorerTest, MoreSentencesThanOneExecutionHolds) {
  std::vector<TokenizedSentence> sentences;
  RandomBits random(5);
  for (int i = 0; i < 1300; ++i) {
    std::string text;
    for (int w = 0; w < 3; ++w) text += "w" + std::to_string(random.Below(35)) + " ";
    sentences.push_back(Words(text));
  }
  std::vector<ScoreItem> items;
  for (const TokenizedSentence& sentence : sentences) {
    items.push_back({.sentence = &sentence, .options = {}});
  }
  const std::vector<SentenceScore> scores = scorer_.Score(items, nullptr);
  for (size_t i = 0; i < items.size(); i += 97) {
    EXPECT_EQ(scores[i].token_logprobs, scorer_.Score({&items[i], 1}, nullptr)[0].token_logprobs);
  }
}

TEST_F(SentenceScorerTest, NoSentencesAreNothing) {
  ScoreStatistics statistics{.steps = 7, .output_rows = 7, .tokens = 7};
  EXPECT_TRUE(scorer_.Score({}, nullptr, &statistics).empty());
  EXPECT_EQ(statistics.steps + statistics.output_rows + statistics.tokens, 0);
}

TEST_F(SentenceScorerTest, TokenizeMarksOovWordsAndRefusesSentenceMarks) {
  const TokenizedSentence sentence = Words("w1 <unk> zebra");
  const TokenId unknown = vocabulary().unknown_id();
  EXPECT_THAT(sentence.tokens, ElementsAre(vocabulary().Find("w1"), unknown, unknown));
  EXPECT_THAT(sentence.words, ElementsAre("w1", "<unk>", "zebra"));
  EXPECT_THAT(sentence.oov, ElementsAre(false, true, true));
  EXPECT_THAT(Tokenize(model().model(), "w1 </s>"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("word 2")));
  EXPECT_THAT(Tokenize(model().model(), "<s> w1"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("word 1")));
  EXPECT_THAT(Tokenize(model().model(), "w1 \xff"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(SentenceScorerTest, PrefixesAreWhatNormalizedWordsBeginWith) {
  const auto error = StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("one word"));
  const auto normalized = [](const Model& of, const std::string& text) {
    return NormalizePrefix(of, text).value_or("error");
  };
  EXPECT_EQ(normalized(model().model(), "Th"), "Th");
  EXPECT_EQ(normalized(model().model(), " \"Th"), "\"Th");
  EXPECT_EQ(normalized(model().model(), ""), "");
  EXPECT_THAT(NormalizePrefix(model().model(), "Th "), error);
  EXPECT_THAT(NormalizePrefix(model().model(), "a b"), error);

  ModelConfig config = TinyConfig("bllm", 5, 3, 3);
  config.normalization = NormalizationKind::kLowercaseNoPunctuation;
  const Model english = RandomModel(config, 1);
  const std::pair<std::string, std::string> cases[] = {
      {"Th", "th"}, {"  \"Th", "th"}, {"DON'", "don'"}, {"don\u2019T", "don't"}, {"'", ""},
      {"(", ""},    {"", ""},         {"ÉT", "ét"},     {"-Well", "well"},       {"U.S.", "us"}};
  for (const auto& [text, prefix] : cases) {
    EXPECT_EQ(normalized(english, text), prefix) << text;
  }
  EXPECT_THAT(NormalizePrefix(english, "well-"), error);
  EXPECT_THAT(NormalizePrefix(english, "wait.."), error);
  EXPECT_THAT(NormalizePrefix(english, "a\xc3"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("byte 1")));
  EXPECT_THAT(NormalizePrefix(english, std::string("\0", 1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("byte 0")));
}

}  // namespace
}  // namespace bitlm
